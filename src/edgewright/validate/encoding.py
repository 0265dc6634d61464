"""Arrays as the bodies of V2 requests and answers: JSON, and binary behind a JSON header."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.wire import v2

Arrays = Mapping[str, NDArray[Any]]

DTYPES = {word: dtype for dtype, word in v2.DATATYPES.items()}
"""The protocol's word for a type, and numpy's."""

_ALL_BINARY: v2.Parameters = {"binary_data_output": True}
_scanner = json.JSONDecoder()


def encode_body(inputs: Arrays, metadata: v2.ModelMetadata) -> bytes:
    """The JSON body of a V2 request."""
    datatypes = {tensor.name: tensor.datatype for tensor in metadata.inputs}
    return v2.encode(
        v2.InferRequest(
            inputs=tuple(
                v2.InferInput(
                    name=name,
                    shape=tuple(array.shape),
                    datatype=datatypes[name],
                    data=msgspec.Raw(_json_data(array, datatypes[name])),
                )
                for name, array in inputs.items()
            )
        )
    )


def decode_request(body: bytes) -> dict[str, NDArray[Any]]:
    """The inputs in the JSON body of a V2 request.

    Raises:
        InputError: it is not one, or its data do not fill its shapes.
    """
    request, _ = v2.split_request(body, None)
    return {one.name: _array(one) for one in request.inputs}


def decode_answer(body: bytes) -> dict[str, NDArray[Any]]:
    """The outputs in the JSON body of a V2 answer.

    Raises:
        InputError: it is not one, or its data do not fill its shapes.
    """
    response, _ = v2.split_response(body, None)
    return {output.name: _array(output) for output in response.outputs}


def encode_binary(inputs: Arrays, metadata: v2.ModelMetadata) -> tuple[bytes, int]:
    """The same request with its arrays as bytes, asking for bytes; and its header's length."""
    datatypes = {tensor.name: tensor.datatype for tensor in metadata.inputs}
    message = v2.InferRequest(
        inputs=tuple(
            v2.InferInput(name=name, shape=tuple(array.shape), datatype=datatypes[name])
            for name, array in inputs.items()
        ),
        parameters=_ALL_BINARY,
    )
    contents = [array_bytes(array, datatypes[name]) for name, array in inputs.items()]
    return v2.join_binary(message, contents)


def decode_binary(body: bytes) -> dict[str, NDArray[Any]]:
    """The outputs of an answer whose arrays are bytes, or JSON where the server chose so.

    The header's length is found by reading the JSON to its end, not taken from the HTTP header
    (`check_header` compares the two once).

    Raises:
        InputError: it is not one, or its data do not fill its shapes.
    """
    response, contents = v2.split_response(body, header_end(body))
    return {
        output.name: array_of_bytes(output.name, output.datatype, output.shape, content)
        if (content := contents.get(output.name)) is not None
        else _array(output)
        for output in response.outputs
    }


def header_end(body: bytes) -> int:
    """How many bytes of a body its JSON part takes.

    >>> header_end(b'{"a":{}}rest')
    8

    Raises:
        InputError: it does not begin with JSON.
    """
    try:
        # latin-1 keeps one character for one byte, so that the place is a number of bytes
        return _scanner.raw_decode(body.decode("latin-1"))[1]
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a valid V2 message: {error}", hint="see the V2 protocol") from error


def array_bytes(array: NDArray[Any], datatype: str) -> bytes:
    """A tensor's little-endian bytes."""
    dtype = DTYPES[datatype]
    if dtype == "string":
        return v2.pack_strings(str(text).encode() for text in array.ravel())
    return np.ascontiguousarray(array, dtype=dtype).tobytes()


def array_of_bytes(
    name: str, datatype: str, shape: tuple[int, ...], content: memoryview
) -> NDArray[Any]:
    """A tensor from its bytes.

    Raises:
        InputError: an unknown type, or a size that is not the shape's.
    """
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise InputError(f"output {name!r} is of unknown type {datatype!r}")
    try:
        if dtype == "string":
            texts = [item.decode() for item in v2.unpack_strings(content)]
            return np.array(texts, dtype=np.str_).reshape(shape)
        return np.frombuffer(content, dtype=dtype).reshape(shape)
    except ValueError as error:
        raise InputError(
            f"output {name!r}: its {len(content)} bytes do not make {datatype} {list(shape)}"
        ) from error


def _array(output: v2.InferOutput | v2.InferInput) -> NDArray[Any]:
    dtype = DTYPES.get(output.datatype)
    if dtype is None:
        raise InputError(f"tensor {output.name!r} is of unknown type {output.datatype!r}")
    if isinstance(output.data, msgspec.UnsetType):
        raise InputError(f"tensor {output.name!r} has no data")
    try:
        data = orjson.loads(bytes(output.data))
        array = np.array(data, dtype=np.str_ if dtype == "string" else dtype)
        return array.reshape(output.shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"tensor {output.name!r}: its data do not make {output.datatype} "
            f"{list(output.shape)}: {error}"
        ) from error


def _json_data(array: NDArray[Any], datatype: str) -> bytes:
    dtype = DTYPES[datatype]
    flat = np.ascontiguousarray(array).ravel()
    if dtype == "string":
        return orjson.dumps([str(text) for text in flat])
    wide = flat.astype(np.float32 if dtype == "float16" else dtype)
    return orjson.dumps(wide, option=orjson.OPT_SERIALIZE_NUMPY)
