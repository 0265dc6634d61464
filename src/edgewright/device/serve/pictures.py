"""Pictures that clients send as files: JPEG or PNG, decoded by workers before they are tensors.

In V2 such a file is an element of a BYTES tensor for an input that the contract declares as bytes
[batch, height, width, 3]: raw behind its length in a binary body and over gRPC, base64 in JSON. The
contract's steps do the rest, as with any other array.

What is held in memory is bounded twice: so many files may wait to be decoded, and so many bytes of
pixels may be alive, from the decoding until nobody looks at the array any more.
"""

import base64
import binascii
import logging
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from edgewright.device.serve.ports import Array
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.tensors import InputForm
from edgewright.device.serve.workers import Workers
from edgewright.errors import EdgewrightError, InputError, UnavailableError
from edgewright.wire.v2 import InferInput, unpack_strings

logger = logging.getLogger(__name__)

DecodeImage = Callable[[bytes], Array]
"""A JPEG or PNG as RGB bytes [height, width, 3]. Raises InputError, or UnavailableError."""

MOST_WAITING = 64
"""So many files may wait to be decoded; their requests are in no model's queue yet."""
MOST_PIXEL_BYTES = 256 << 20
"""A request of one picture is always taken; more only while all of them stay below this."""

File = bytes | str
"""A file's bytes, or their base64."""

_texts = msgspec.json.Decoder(list[str | list[str]])


class Encoded(msgspec.Struct, frozen=True):
    """The files that one input of a request came as; `place` is the input's in the contract."""

    place: int
    files: tuple[File, ...]


def takes_pictures(form: InputForm) -> bool:
    """Whether this input may come as picture files.

    >>> from edgewright.contract import Tensor
    >>> shape = ("batch", "height", "width", 3)
    >>> takes_pictures(InputForm(Tensor(name="image", dtype="uint8", shape=shape)))
    True
    >>> takes_pictures(InputForm(Tensor(name="image", dtype="float32", shape=shape)))
    False
    """
    shape = form.tensor.shape
    return form.tensor.dtype == "uint8" and len(shape) in (3, 4) and shape[-1] == 3


def read_files(form: InputForm, place: int, tensor: InferInput, raw: memoryview | None) -> Encoded:
    """The files of a BYTES tensor.

    Raises:
        InputError: no list of files, or not as many as its shape says.
    """
    files: list[File]
    if raw is not None:
        if tensor.data is not msgspec.UNSET:
            raise InputError(f"input {form.name!r} has JSON data and binary data")
        files = list(unpack_strings(raw))
    elif isinstance(tensor.data, msgspec.UnsetType):
        raise InputError(f"input {form.name!r} has no data")
    else:
        files = _base64_texts(form, tensor.data)
    count, *rest = tensor.shape or (0,)
    if rest not in ([], [1]) or count != len(files):
        raise InputError(
            f"input {form.name!r} has shape {list(tensor.shape)} and {len(files)} pictures",
            hint="the shape of BYTES is the number of pictures",
        )
    check_count(form, count)
    return Encoded(place, tuple(files))


class Pictures:
    """Decodes for all models of a server."""

    def __init__(
        self,
        workers: Workers,
        decode: DecodeImage | None,
        *,
        most_waiting: int = MOST_WAITING,
        most_pixel_bytes: int = MOST_PIXEL_BYTES,
    ) -> None:
        self._workers = workers
        self._decode = decode
        self._most_waiting = most_waiting
        self._most_pixel_bytes = most_pixel_bytes
        self._waiting = 0
        self._alive_bytes = 0
        self._freed: deque[int] = deque()
        """Sizes of arrays that are gone, told by whichever thread let go of them last."""

    def decode(
        self, inputs: Sequence[Encoded], done: Callable[[list[Array] | RefusalError], None]
    ) -> None:
        """Call `done` in the event loop with the pictures of each input, [files, height, width, 3],
        or with the reason why there are none.

        Raises:
            RefusalError: pictures cannot be read here, or too many wait.
        """
        if self._decode is None:
            raise refusal_of(
                UnavailableError(
                    "pictures cannot be read here", hint="pip install 'edgewright[vision]'"
                )
            )
        count = sum(len(each.files) for each in inputs)
        if self._waiting and self._waiting + count > self._most_waiting:
            raise _busy(f"{self._waiting} pictures wait to be decoded already")
        self._waiting += count

        def decoded(result: object) -> None:
            self._waiting -= count
            done(self._admitted(result))

        work = partial(_decode_all, self._decode, inputs, self._most_pixel_bytes)
        self._workers.submit(work, decoded)

    def _admitted(self, result: Any) -> list[Array] | RefusalError:
        if isinstance(result, EdgewrightError):
            return refusal_of(result)
        if isinstance(result, BaseException):
            logger.error("decoding failed", exc_info=result)
            return RefusalError(500, "internal error", reason="internal")
        while self._freed:
            self._alive_bytes -= self._freed.popleft()
        arrays: list[Array] = result
        size = sum(array.nbytes for array in arrays)
        if self._alive_bytes and self._alive_bytes + size > self._most_pixel_bytes:
            return _busy(f"decoded pictures hold {self._alive_bytes >> 20} MiB already")
        self._alive_bytes += size
        for array in arrays:
            weakref.finalize(array, self._freed.append, array.nbytes)
        return arrays


def check_count(form: InputForm, count: int) -> None:
    """Raises InputError where one request brings none, or too many."""
    most = MOST_WAITING if len(form.tensor.shape) == 4 else 1
    if not 1 <= count <= most:
        raise InputError(
            f"input {form.name!r} has {count} pictures, expected 1 to {most}",
            hint="send the others in requests of their own",
        )


def _base64_texts(form: InputForm, text: msgspec.Raw) -> list[File]:
    try:
        rows = _texts.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"input {form.name!r}: pictures in JSON are base64 texts: {error}",
            hint="or send them in binary",
        ) from error
    return [item for row in rows for item in ([row] if isinstance(row, str) else row)]


def _decode_all(decode: DecodeImage, inputs: Sequence[Encoded], most_bytes: int) -> list[Array]:
    """Runs in a worker."""
    arrays: list[Array] = []
    for each in inputs:
        left_bytes = most_bytes - sum(array.nbytes for array in arrays)
        arrays.append(_together(decode, each.files, left_bytes))
    return arrays


def _bytes_of(file: File) -> bytes:
    if isinstance(file, bytes):
        return file
    try:
        return base64.b64decode(file, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"a picture is no base64 text: {error}") from error


def _together(decode: DecodeImage, files: Sequence[File], most_bytes: int) -> Array:
    """The pictures of one input. The first tells what all will take, before another is decoded:
    a small file may hold very many pixels.
    """
    first = np.ascontiguousarray(decode(_bytes_of(files[0])))
    if len(files) == 1:
        return first[np.newaxis]
    if first.nbytes * len(files) > most_bytes:
        raise InputError(
            f"{len(files)} pictures of {_size(first)} pixels take "
            f"{first.nbytes * len(files) >> 20} MiB, at most {max(most_bytes, 0) >> 20} are taken",
            hint="send them in requests of their own",
        )
    pictures = np.empty((len(files), *first.shape), first.dtype)
    pictures[0] = first
    for place, file in enumerate(files[1:], start=1):
        picture = decode(_bytes_of(file))
        if picture.shape != first.shape:
            told = ", ".join(map(_size, sorted((first, picture), key=np.shape)))
            raise InputError(
                f"pictures of {told} pixels in one request",
                hint="send pictures of different sizes in requests of their own",
            )
        pictures[place] = picture
    return pictures


def _size(picture: Array) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"


def _busy(message: str) -> RefusalError:
    return RefusalError(429, message, reason="queue_full", retry_after_s=1)
