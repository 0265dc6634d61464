"""Tensor contents between the protocol's two forms (JSON, raw bytes) and arrays.

Contents stay raw bytes until a pass is put together, so that joining requests is joining bytes.
"""

import math
import struct
import types
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
import orjson

from edgewright import _native
from edgewright.contract import Tensor
from edgewright.device.serve.ports import Array
from edgewright.errors import InputError
from edgewright.wire.v2 import DATATYPES, pack_strings, unpack_strings

Content = bytes | memoryview | list[Any]
"""Raw little-endian elements; for strings their list."""

Pack = Callable[..., bytes]
"""Elements as arguments to raw bytes; raises one of `PACK_ERRORS`."""

PACK_ERRORS = (struct.error, OverflowError)

_ELEMENT: dict[str, type] = {"FP": float, "UI": int, "IN": int, "BO": bool, "BY": str}
_STRUCT_CODE = {
    "BOOL": "?",
    "UINT8": "B",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_IN_C = _native.part
_MAX_NESTING = 8
_BEGINNING_BYTES = 2048
"""Within so many the first element begins, indented or not."""
_MAX_PACKED = 1 << 28


class InputForm:
    """How one input of a contract arrives."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.name = tensor.name
        self.datatype = DATATYPES[tensor.dtype]
        self.element = _ELEMENT[self.datatype[:2]]
        self.is_string = tensor.dtype == "string"
        self.dtype = np.dtype(object if self.is_string else tensor.dtype)
        self.code = _STRUCT_CODE.get(self.datatype, "")
        self._decoders = _nested_decoders(self.element)

    def check_declared(self, datatype: str, shape: tuple[int, ...]) -> int:
        """The number of elements of a tensor that is declared like this.

        Raises:
            InputError: the contract has another type or shape.
        """
        if datatype != self.datatype:
            raise InputError(
                f"input {self.name!r} is {datatype}, expected {self.datatype}",
                hint="send the type that the model's metadata names",
            )
        if not self.tensor.fits(shape):
            raise InputError(
                f"input {self.name!r} has shape {list(shape)}, expected {list(self.tensor.shape)}",
                hint="a named dimension takes any size from 1",
            )
        return math.prod(shape)

    def pack(self, values: Sequence[Any], count: int) -> Content:
        """Flat JSON values as a content.

        Raises:
            InputError: too few, too many, or out of the type's own range.
        """
        if len(values) != count:
            raise InputError(
                f"input {self.name!r} has {len(values)} elements, its shape says {count}",
                hint="send the shape that belongs to the data",
            )
        if self.is_string:
            return list(values)
        try:
            return self.packer(count)(*values)
        except PACK_ERRORS as error:
            raise InputError(
                f"input {self.name!r} holds a value that {self.datatype} cannot: {error}",
                hint="check sensor and unit",
            ) from error

    def packer(self, count: int) -> Pack:
        """Packs so many elements at once."""
        if self.is_string or count > _MAX_PACKED:
            raise InputError(f"input {self.name!r} has {count} elements")
        return struct.Struct(f"<{count}{self.code}").pack

    def parse(self, text: msgspec.Raw, shape: tuple[int, ...]) -> Content:
        """JSON data, flat or nested as the shape says.

        Raises:
            InputError: not data of this type.
        """
        if _IN_C is not None:
            packed: bytes | None = _IN_C.read_tensor(memoryview(text), self.code, shape)
            if packed is not None:
                return packed
        depth = _nesting(bytes(memoryview(text)[:_BEGINNING_BYTES]))
        if not 1 <= depth <= _MAX_NESTING:
            raise InputError(f"input {self.name!r}: data is not a list of {self.element.__name__}")
        try:
            values = self._decoders[depth - 1].decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"input {self.name!r}: {error}", hint="check the data") from error
        lengths = [len(values)]
        for _ in range(depth - 1):
            (length, *others) = {len(part) for part in values} or {0}
            if others:
                raise InputError(
                    f"input {self.name!r}: lists of {sorted((length, *others))} elements side by "
                    "side, expected as many in each",
                    hint="send flat data, or nested as the shape says",
                )
            lengths.append(length)
            values = [item for part in values for item in part]
        if len(lengths) == len(shape) and tuple(lengths) != shape:
            raise InputError(
                f"input {self.name!r} is nested as {lengths}, its shape says {list(shape)}",
                hint="send the shape that belongs to the data",
            )
        return self.pack(values, math.prod(shape))

    def take(self, content: memoryview, count: int) -> Content:
        """Binary data.

        Raises:
            InputError: not the size that the shape says.
        """
        if self.is_string:
            items = unpack_strings(content)
            try:
                return self.pack([item.decode() for item in items], count)
            except UnicodeDecodeError as error:
                raise InputError(f"input {self.name!r}: not UTF-8: {error}") from error
        if len(content) != count * self.dtype.itemsize:
            raise InputError(
                f"input {self.name!r} has {len(content)} bytes, "
                f"its shape and type say {count * self.dtype.itemsize}",
                hint="send little-endian elements in row-major order",
            )
        return content

    def array(self, contents: Sequence[Content], shape: tuple[int, ...]) -> Array:
        """One array of all contents, one behind the other."""
        if self.is_string:
            flat = [item for content in contents for item in content]
            return np.array(flat, dtype=object).reshape(shape)
        if len(contents) == 1:
            array = np.frombuffer(contents[0], self.dtype).reshape(shape)  # type: ignore[arg-type]  # strings returned above
            return array if array.flags.aligned else array.copy()
        return np.frombuffer(b"".join(contents), self.dtype).reshape(shape)  # type: ignore[arg-type]  # as above


class OutputForm:
    """How one output of a contract leaves."""

    def __init__(self, tensor: Tensor) -> None:
        self.name = tensor.name
        self.datatype = DATATYPES[tensor.dtype]
        self.is_string = tensor.dtype == "string"
        self.head = orjson.dumps({"name": self.name, "datatype": self.datatype})[:-1]

    def to_json(self, array: Array) -> bytes:
        """The data as a flat JSON list."""
        if self.is_string:
            return orjson.dumps([_text(item) for item in array.ravel().tolist()])
        return orjson.dumps(np.ascontiguousarray(array).ravel(), option=orjson.OPT_SERIALIZE_NUMPY)

    def rows_to_json(self, array: Array) -> list[bytes]:
        """Each row of numbers as a flat JSON list, all by one call."""
        flat = np.ascontiguousarray(array).reshape(len(array), -1)
        text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
        return [b"[%b]" % row for row in text[2:-2].split(b"],[")]

    def to_binary(self, array: Array) -> bytes:
        """The data as raw little-endian bytes."""
        if self.is_string:
            return pack_strings(_text(item).encode() for item in array.ravel().tolist())
        return array.tobytes()


def _text(item: object) -> str:
    return item.decode("utf-8", errors="replace") if isinstance(item, bytes) else str(item)


@cache
def _nested_decoders(element: type) -> tuple[msgspec.json.Decoder[Any], ...]:
    """For lists of elements, lists of such lists, and so on; the same ones for all models."""
    kind: Any = element
    decoders: list[msgspec.json.Decoder[Any]] = []
    for _ in range(_MAX_NESTING):
        kind = types.GenericAlias(list, (kind,))
        decoders.append(msgspec.json.Decoder(kind))
    return tuple(decoders)


def _nesting(text: bytes) -> int:
    """How many lists are open when the first element begins."""
    depth = 0
    for byte in text:
        if byte == 0x5B:
            depth += 1
        elif byte not in b" \t\r\n":
            break
    return depth
