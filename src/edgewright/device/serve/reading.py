"""Bodies of infer requests to feeds of one model."""

import types
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from edgewright.contract import Contract
from edgewright.device.serve.pictures import Encoded, read_files, takes_pictures
from edgewright.device.serve.ports import Array
from edgewright.device.serve.tensors import PACK_ERRORS, Content, InputForm, Pack
from edgewright.errors import InputError
from edgewright.wire.v2 import InferInput, InferRequest, Parameters, split_request

_US = 1e-6
_KEPT_SHAPES = 64
_KEPT_HEADERS = 64
_MAX_KEPT_BYTES = 1024


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An output that a client asked for: `classes` above 0 means its best classes instead."""

    name: str
    is_binary: bool
    classes: int = 0


class Feed(msgspec.Struct, frozen=True):
    """A request that fits the contract's types and shapes; its values are not checked yet.

    `rows` is the size of the first input's first dimension. Inputs in `encoded` came as files: they
    have no content yet, and their shape is the number of files.
    """

    contents: tuple[Content, ...]
    shapes: tuple[tuple[int, ...], ...]
    rows: int
    id: str | None = None
    wanted: tuple[Wanted, ...] | None = None
    timeout_s: float | None = None
    encoded: tuple[Encoded, ...] = ()


class KnownHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the JSON part of a binary request says, so that the same one need not be read again:
    where each input lies in the body, and the body's whole length.
    """

    header_bytes: int
    body_bytes: int
    spans: tuple[tuple[int, int], ...]
    shapes: tuple[tuple[int, ...], ...]
    rows: int
    wanted: tuple[Wanted, ...] | None
    timeout_s: float | None

    def feed(self, body: bytes) -> Feed:
        """The feed of a body that begins with this header."""
        whole = memoryview(body)
        contents = tuple([whole[first:end] for first, end in self.spans])
        return Feed(contents, self.shapes, self.rows, None, self.wanted, self.timeout_s)


class Reader:
    """Reads requests for one contract: plain JSON in one step, binary ones whose header was seen
    before without reading it again, everything else with care.
    """

    def __init__(self, contract: Contract) -> None:
        self.forms = tuple(InputForm(tensor) for tensor in contract.inputs)
        self._outputs = tuple(tensor.name for tensor in contract.outputs)
        is_single = len(self.forms) == 1 and not self.forms[0].is_string
        self._decode_plain = _plain_decoder(self.forms[0].element) if is_single else None
        self._packers: dict[tuple[int, ...], Pack] = {}
        self._known: dict[bytes, KnownHeader] = {}
        self._may_know = not any(form.is_string for form in self.forms)
        self._take_pictures = frozenset(form.name for form in self.forms if takes_pictures(form))

    def read(self, body: bytes, header_bytes: int | None) -> Feed:
        """A request's feed.

        Raises:
            InputError: not a request for this model; the message names the field.
        """
        if header_bytes is not None:
            return self._binary_feed(body, header_bytes)
        if self._decode_plain is not None:
            feed = self._plain_feed(body, self._decode_plain)
            if feed is not None:
                return feed
        return self._careful_feed(*split_request(body, None))

    def read_parts(self, request: InferRequest, contents: dict[str, memoryview]) -> Feed:
        """The feed of a request that came apart already, as gRPC's do.

        Raises:
            InputError: as `read`.
        """
        return self._careful_feed(request, contents)

    def _binary_feed(self, body: bytes, header_bytes: int) -> Feed:
        known = self._known.get(body[:header_bytes])
        if known is not None and (known.header_bytes, known.body_bytes) == (
            header_bytes,
            len(body),
        ):
            return known.feed(body)
        request, contents = split_request(body, header_bytes)
        feed = self._careful_feed(request, contents)
        if (
            self._may_know
            and request.id is None
            and not feed.encoded
            and len(contents) == len(self.forms)
            and header_bytes <= _MAX_KEPT_BYTES
            and len(self._known) < _KEPT_HEADERS
        ):
            self._remember(bytes(body[:header_bytes]), feed, request, len(body))
        return feed

    def _remember(self, header: bytes, feed: Feed, request: InferRequest, body_bytes: int) -> None:
        """Keep what a good request's header said; contents lie in the order of its inputs."""
        sizes = {
            form.name: len(content) for form, content in zip(self.forms, feed.contents, strict=True)
        }
        spans: dict[str, tuple[int, int]] = {}
        first = len(header)
        for tensor in request.inputs:
            spans[tensor.name] = first, first + sizes[tensor.name]
            first += sizes[tensor.name]
        self._known[header] = KnownHeader(
            header_bytes=len(header),
            body_bytes=body_bytes,
            spans=tuple(spans[form.name] for form in self.forms),
            shapes=feed.shapes,
            rows=feed.rows,
            wanted=feed.wanted,
            timeout_s=feed.timeout_s,
        )

    def _plain_feed(self, body: bytes, decode: Callable[[bytes], Any]) -> Feed | None:
        """The feed of a request with flat data and no options; None leaves it, and every fault, to
        the careful way.
        """
        try:
            request = decode(body)
            (tensor,) = request.inputs
            shape = tensor.shape
            pack = self._packers.get(shape) or self._packer(tensor)
            content = pack(*tensor.data)
        except (msgspec.DecodeError, RecursionError, ValueError, InputError, *PACK_ERRORS):
            return None
        form = self.forms[0]
        if tensor.name != form.name or tensor.datatype != form.datatype:
            return None
        return Feed((content,), (shape,), shape[0] if shape else 1, request.id)

    def _packer(self, tensor: Any) -> Pack:
        form = self.forms[0]
        pack = form.packer(form.check_declared(tensor.datatype, tensor.shape))
        if len(self._packers) < _KEPT_SHAPES:
            self._packers[tensor.shape] = pack
        return pack

    def _careful_feed(self, request: InferRequest, binary: dict[str, memoryview]) -> Feed:
        contents: list[Content] = []
        encoded: list[Encoded] = []
        tensors = self._ordered(request.inputs)
        for place, (form, tensor) in enumerate(zip(self.forms, tensors, strict=True)):
            _refuse_shared_memory(tensor.parameters or {})
            if tensor.datatype == "BYTES" and form.name in self._take_pictures:
                encoded.append(read_files(form, place, tensor, binary.get(form.name)))
                contents.append(b"")
            else:
                count = form.check_declared(tensor.datatype, tensor.shape)
                contents.append(_content(form, tensor, binary, count))
        shapes = tuple(tensor.shape for tensor in tensors)
        feed = self._with_options(request, tuple(contents), shapes)
        return msgspec.structs.replace(feed, encoded=tuple(encoded)) if encoded else feed

    def decoded(self, feed: Feed, pictures: list[Array]) -> Feed:
        """The feed with these in the place of the files.

        Raises:
            InputError: they are not of the size that the contract declares.
        """
        contents, shapes = list(feed.contents), list(feed.shapes)
        for encoded, array in zip(feed.encoded, pictures, strict=True):
            form = self.forms[encoded.place]
            shape = array.shape if len(form.tensor.shape) == array.ndim else array.shape[1:]
            form.check_declared(form.datatype, shape)
            contents[encoded.place] = array.astype(form.dtype, copy=False).data.cast("B")
            shapes[encoded.place] = shape
        rows = shapes[0][0] if shapes[0] else 1
        return msgspec.structs.replace(
            feed, contents=tuple(contents), shapes=tuple(shapes), rows=rows, encoded=()
        )

    def _with_options(
        self,
        request: InferRequest,
        contents: tuple[Content, ...],
        shapes: tuple[tuple[int, ...], ...],
    ) -> Feed:
        parameters = request.parameters or {}
        is_binary = _flag(parameters, "binary_data_output")
        if request.outputs is not None:
            if len({output.name for output in request.outputs}) != len(request.outputs):
                raise InputError(
                    "an output is asked for twice", hint=f"the model gives {list(self._outputs)}"
                )
            wanted = tuple(
                self._wanted(output.name, output.parameters or {}, is_binary=is_binary)
                for output in request.outputs
            )
        elif is_binary:
            wanted = tuple(Wanted(name=name, is_binary=True) for name in self._outputs)
        else:
            wanted = None
        rows = shapes[0][0] if shapes[0] else 1
        return Feed(contents, shapes, rows, request.id, wanted or None, _timeout_s(parameters))

    def _wanted(self, name: str, parameters: Parameters, *, is_binary: bool) -> Wanted:
        if name not in self._outputs:
            raise InputError(
                f"output {name!r} is unknown", hint=f"the model gives {list(self._outputs)}"
            )
        _refuse_shared_memory(parameters)
        if "binary_data" in parameters:
            is_binary = _flag(parameters, "binary_data")
        classes = parameters.get("classification", 0)
        if isinstance(classes, bool) or not isinstance(classes, int) or classes < 0:
            raise InputError(f"parameter classification is {classes!r}, expected a number")
        return Wanted(name=name, is_binary=is_binary, classes=classes)

    def _ordered(self, tensors: tuple[InferInput, ...]) -> list[Any]:
        """The tensors in the contract's order."""
        by_name = {tensor.name: tensor for tensor in tensors}
        names = [form.name for form in self.forms]
        if len(by_name) != len(tensors):
            raise InputError("an input is given twice", hint=f"the model takes {names}")
        for name in names:
            if name not in by_name:
                raise InputError(f"input {name!r} is missing", hint=f"the model takes {names}")
        for name in by_name:
            if name not in names:
                raise InputError(f"input {name!r} is unknown", hint=f"the model takes {names}")
        return [by_name[name] for name in names]


def _refuse_shared_memory(parameters: Parameters) -> None:
    if any(key.startswith("shared_memory") for key in parameters):
        raise InputError("shared memory is not supported", hint="send the data")


def _content(
    form: InputForm, tensor: InferInput, binary: dict[str, memoryview], count: int
) -> Content:
    raw = binary.get(form.name)
    if raw is not None:
        if tensor.data is not msgspec.UNSET:
            raise InputError(f"input {form.name!r} has JSON data and binary data")
        return form.take(raw, count)
    if isinstance(tensor.data, msgspec.UnsetType):
        raise InputError(f"input {form.name!r} has no data")
    return form.parse(tensor.data, tensor.shape)


@cache
def _plain_decoder(element: type) -> Callable[[bytes], Any]:
    """Decodes requests for a single input of numbers that have flat data and no options. One for
    all models: types are not made anew with each that is loaded.
    """
    data: Any = types.GenericAlias(list, (element,))
    tensor: Any = msgspec.defstruct(
        "PlainInput",
        [
            ("name", str),
            ("shape", tuple[int, ...]),
            ("datatype", str),
            ("data", data),
            ("parameters", None, None),
        ],
        frozen=True,
    )
    request = msgspec.defstruct(
        "PlainRequest",
        [
            ("inputs", tuple[tensor]),
            ("id", str | None, None),
            ("parameters", None, None),
            ("outputs", None, None),
        ],
        frozen=True,
    )
    return msgspec.json.Decoder(request).decode


def _flag(parameters: Parameters, name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"parameter {name} is {value!r}, expected true or false")
    return value


def _timeout_s(parameters: Parameters) -> float | None:
    """The request's own deadline; the protocol counts it in microseconds."""
    value = parameters.get("timeout")
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:18])
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"parameter timeout is {value!r}, expected microseconds")
    return value * _US if value else None
