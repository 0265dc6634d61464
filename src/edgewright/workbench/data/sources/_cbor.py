"""CBOR (RFC 8949) as acquisition files use it: numbers, texts, bytes, lists and maps of definite
length. Anything else is refused; nothing is executed and depth is limited.

    >>> decode_cbor(bytes.fromhex("a1616182fb3ff00000000000002a"))
    {'a': [1.0, -11]}
"""

import struct
from typing import Any

from edgewright.errors import InputError

_MOST_DEPTH = 32
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE = {20: False, 21: True, 22: None}


def decode_cbor(content: bytes) -> Any:
    """The one value of a document.

    Raises:
        InputError: truncated, too deep, followed by something, or of a kind that is not read here.
    """
    reader = _Reader(content)
    value = reader.value(0)
    if reader.at != len(content):
        raise InputError(f"CBOR: {len(content) - reader.at} bytes follow the document")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def value(self, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise InputError(f"CBOR: deeper than {_MOST_DEPTH}")
        head = self._take(1)[0]
        major, info = head >> 5, head & 31
        if major == 7:
            return self._simple(info)
        return self._sized(major, self._size(info), depth)

    def _sized(self, major: int, size: int, depth: int) -> Any:
        value: Any
        match major:
            case 0:
                value = size
            case 1:
                value = -1 - size
            case 2:
                value = self._take(size)
            case 3:
                value = self._text(size)
            case 4:
                value = [self.value(depth + 1) for _ in range(size)]
            case 5:
                value = {self._key(depth): self.value(depth + 1) for _ in range(size)}
            case _:
                value = self.value(depth + 1)
        return value

    def _simple(self, info: int) -> Any:
        if info in _FLOATS:
            kind = _FLOATS[info]
            return struct.unpack(kind, self._take(struct.calcsize(kind)))[0]
        if info in _SIMPLE:
            return _SIMPLE[info]
        raise InputError(f"CBOR: simple value {info} is not read here")

    def _size(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise InputError("CBOR: values of indefinite length are not read here")
        return int.from_bytes(self._take(1 << (info - 24)), "big")

    def _key(self, depth: int) -> str:
        key = self.value(depth + 1)
        if not isinstance(key, str):
            raise InputError(f"CBOR: a map key is {type(key).__name__}, expected a text")
        return key

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise InputError("CBOR: a text is not UTF-8") from error

    def _take(self, count: int) -> bytes:
        taken = self._content[self.at : self.at + count]
        if len(taken) != count:
            raise InputError(f"CBOR: it ends at byte {len(self._content)} in the middle of a value")
        self.at += count
        return taken
