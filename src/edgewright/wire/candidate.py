"""What the server says about a candidate, and what passes between the server and the child process
that runs it: arrays as names, types, shapes and bytes in frames.

    >>> decode_frame(encode_frame(Ask(arrays=())), Ask).arrays
    ()
"""

from typing import TypeVar

import msgspec

from edgewright.errors import TransportError

FRAME_LIMIT_BYTES = 256 << 20
HEAD_BYTES = 4

T = TypeVar("T")


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """An array: its content in C order, or its texts where the type is "string"."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes = b""
    texts: tuple[str, ...] = ()


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A request that was checked at the door."""

    arrays: tuple[Packed, ...]


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The answer, or why there is none; `run_s` is the model's own time. A
    refusal blames the request, as a model's own steps may.
    """

    arrays: tuple[Packed, ...] = ()
    run_s: float = 0.0
    error: str = ""
    is_refusal: bool = False
    contract: bytes = b""
    """In JSON, once, where the file brings none of its own."""


class CandidateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate so far. `failures` by kind are requests that the old model answered in its place;
    `broken` says why it is asked no more. Times are medians and 95th percentiles: its own, the old
    model's on the same requests (in shadow), and what the way to the child adds.
    """

    version: str
    mode: str
    asked: int = 0
    answered: int = 0
    failures: dict[str, int] = {}
    problem: str = ""
    broken: str = ""
    compared: int = 0
    agreed: int = 0
    run_ms: tuple[float, float] = (0.0, 0.0)
    old_run_ms: tuple[float, float] = (0.0, 0.0)
    overhead_ms: tuple[float, float] = (0.0, 0.0)


def encode_frame(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def frame_size(head: bytes) -> int:
    """How long the body is that follows these first bytes.

    Raises:
        TransportError: longer than any answer may be.
    """
    size_bytes = int.from_bytes(head, "big")
    if size_bytes > FRAME_LIMIT_BYTES:
        raise TransportError(f"a frame of {size_bytes} bytes, the limit is {FRAME_LIMIT_BYTES}")
    return size_bytes


def decode_frame(frame: bytes, kind: type[T]) -> T:
    """A whole frame as its message.

    Raises:
        TransportError: it is not one.
    """
    try:
        return msgspec.msgpack.decode(memoryview(frame)[HEAD_BYTES:], type=kind)
    except msgspec.DecodeError as error:
        raise TransportError(f"not a frame of arrays: {error}") from error
