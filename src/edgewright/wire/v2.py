r"""The V2 / Open Inference Protocol over HTTP, with the binary tensor extension: its messages.

Arrays stay out: a tensor is its name, datatype, shape and content, either JSON text or raw
little-endian bytes behind the JSON header. Both directions are here, for servers and clients.

>>> tensor = InferInput(name="x", shape=(1, 2), datatype="FP32")
>>> message, header_bytes = join_binary(InferRequest(inputs=(tensor,)), [b"\0" * 8])
>>> request, contents = split_request(message, header_bytes)
>>> request.inputs[0].name, len(contents["x"])
('x', 8)
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from edgewright.contract import DType
from edgewright.errors import InputError

HEADER_LENGTH = "inference-header-content-length"
BINARY_CONTENT = "application/octet-stream"
BINARY_SIZE = "binary_data_size"

DATATYPES: Mapping[DType, str] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}
"""A contract's word for a type, and the protocol's."""

Scalar = bool | int | float | str | None
Parameters = dict[str, Scalar]

M = TypeVar("M", bound=msgspec.Struct)


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class ServerMetadata(_Message, frozen=True, kw_only=True):
    """Who answers, and which extensions of the protocol it speaks."""

    name: str
    version: str
    extensions: tuple[str, ...]


class TensorMetadata(_Message, frozen=True, kw_only=True):
    """A tensor as the model declares it; -1 is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(_Message, frozen=True, kw_only=True):
    """What a model takes and gives."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class InferInput(_Message, frozen=True, kw_only=True):
    """A tensor of a request; its data is JSON here, or binary behind the header."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: Parameters | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class RequestedOutput(_Message, frozen=True, kw_only=True):
    """An output that the client asks for, and how it wants it."""

    name: str
    parameters: Parameters | None = None


class InferRequest(_Message, frozen=True, kw_only=True):
    """The JSON part of a request."""

    inputs: tuple[InferInput, ...]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: tuple[RequestedOutput, ...] | None = None


class InferOutput(_Message, frozen=True, kw_only=True):
    """A tensor of an answer; its data is JSON here, or binary behind the header."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Parameters | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class InferResponse(_Message, frozen=True, kw_only=True):
    """The JSON part of an answer."""

    model_name: str
    outputs: tuple[InferOutput, ...]
    model_version: str | None = None
    id: str | None = None
    parameters: Parameters | None = None


class Problem(_Message, frozen=True, kw_only=True):
    """The body of every answer that is not 200."""

    error: str


class RepositoryModel(_Message, frozen=True, kw_only=True):
    """A line of the repository index."""

    name: str
    version: str
    state: str
    reason: str = ""


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and how long altogether."""

    count: int
    ns: int


class InferStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went."""

    success: Durations
    fail: Durations
    queue: Durations
    compute_input: Durations
    compute_infer: Durations
    compute_output: Durations


class ModelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of a model did since it was loaded. `latency_ms` is ours: quantiles."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics
    batch_stats: tuple[str, ...] = ()
    latency_ms: dict[str, float] = {}


class StatisticsReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/stats`."""

    model_stats: tuple[ModelStatistics, ...]


def split_request(
    body: bytes, header_bytes: int | None
) -> tuple[InferRequest, dict[str, memoryview]]:
    """A request and the binary contents behind it, by input name.

    Raises:
        InputError: not JSON, not a request, or sizes that do not add up.
    """
    text, rest = _split(body, header_bytes)
    request = _decode(text, _request_decoder)
    return request, _contents(request.inputs, rest)


def split_response(
    body: bytes, header_bytes: int | None
) -> tuple[InferResponse, dict[str, memoryview]]:
    """An answer and the binary contents behind it, by output name.

    Raises:
        InputError: not JSON, not an answer, or sizes that do not add up.
    """
    text, rest = _split(body, header_bytes)
    response = _decode(text, _response_decoder)
    return response, _contents(response.outputs, rest)


def join_binary(message: M, contents: Sequence[bytes]) -> tuple[bytes, int]:
    """A message whose first tensors have these contents, in their order, and its header's length.

    Tensors beyond `contents` keep their JSON data.
    """
    field = "inputs" if isinstance(message, InferRequest) else "outputs"
    tensors = list(getattr(message, field))
    for place, content in enumerate(contents):
        parameters = {**(tensors[place].parameters or {}), BINARY_SIZE: len(content)}
        tensors[place] = msgspec.structs.replace(
            tensors[place], parameters=parameters, data=msgspec.UNSET
        )
    text = encode(msgspec.structs.replace(message, **{field: tuple(tensors)}))
    return b"".join([text, *contents]), len(text)


def encode(message: msgspec.Struct) -> bytes:
    """A message as JSON; tensors without JSON data have no `data` member."""
    return _encoder.encode(message)


def parse_header_length(text: str | None) -> int | None:
    """The value of the header that marks a binary body."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise InputError(f"{HEADER_LENGTH} is {text[:20]!r}, expected a number of bytes")
    return int(text)


def pack_strings(items: Iterable[bytes]) -> bytes:
    r"""BYTES elements as binary: each behind its length.

    >>> pack_strings([b"ab", b""])
    b'\x02\x00\x00\x00ab\x00\x00\x00\x00'
    """
    return b"".join(part for item in items for part in (struct.pack("<I", len(item)), item))


def unpack_strings(content: memoryview) -> list[bytes]:
    """BYTES elements from binary.

    Raises:
        InputError: a length that goes beyond the end.
    """
    items: list[bytes] = []
    at, end = 0, len(content)
    while at < end:
        if at + 4 > end:
            raise InputError("BYTES data ends inside an element's length")
        (size,) = struct.unpack_from("<I", content, at)
        at += 4 + size
        if at > end:
            raise InputError(f"BYTES data ends inside element {len(items)} of {size} bytes")
        items.append(bytes(content[at - size : at]))
    return items


_request_decoder = msgspec.json.Decoder(InferRequest)
_response_decoder = msgspec.json.Decoder(InferResponse)
_encoder = msgspec.json.Encoder()


def _split(body: bytes, header_bytes: int | None) -> tuple[memoryview, memoryview]:
    view = memoryview(body)
    if header_bytes is None:
        return view, view[len(view) :]
    if header_bytes > len(view):
        raise InputError(
            f"{HEADER_LENGTH} is {header_bytes}, but the body has {len(view)} bytes",
            hint="the header's length counts the JSON part only",
        )
    return view[:header_bytes], view[header_bytes:]


def _decode(text: memoryview, decoder: "msgspec.json.Decoder[M]") -> M:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a valid V2 message: {error}", hint="see the V2 protocol") from error


def _contents(
    tensors: Sequence[InferInput] | Sequence[InferOutput], rest: memoryview
) -> dict[str, memoryview]:
    contents: dict[str, memoryview] = {}
    at = 0
    for tensor in tensors:
        size = tensor.parameters.get(BINARY_SIZE) if tensor.parameters else None
        if size is None:
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest) - at:
            raise InputError(
                f"tensor {tensor.name!r}: {BINARY_SIZE} is {size!r}",
                hint=f"{len(rest) - at} bytes are left of the body",
            )
        contents[tensor.name] = rest[at : at + size]
        at += size
    if at != len(rest):
        raise InputError(
            f"{len(rest) - at} bytes behind the last binary tensor",
            hint=f"each binary tensor needs its {BINARY_SIZE}",
        )
    return contents
