"""What the two sides of an ExecuTorch session say to each other over a pair of pipes. The arrays
themselves lie in memory that both sides map: inputs one after the other, then outputs.
"""

from typing import BinaryIO

import msgspec

from edgewright.runtimes.base import EngineTensor

SIGNATURE_METHOD = "edgewright_signature"
"""The constant method of a `.pte` that returns its `Signature` as JSON: the format itself has no
names, and no mark for a dimension of any size.
"""

ALIGNMENT_BYTES = 64
_LENGTH_BYTES = 4


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Names and shapes of a `.pte`, by position."""

    inputs: tuple[EngineTensor, ...]
    outputs: tuple[EngineTensor, ...]


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """The child's first word. `slots` are the bytes set aside for each input, then each output."""

    signature: Signature
    slots: tuple[int, ...]
    threads: int
    backends: tuple[str, ...]


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """One pass over the inputs in the shared memory, of these shapes."""

    shapes: tuple[tuple[int, ...], ...]


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """The outputs lie in the shared memory, of these shapes."""

    shapes: tuple[tuple[int, ...], ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """It did not work; `text` is what ExecuTorch said."""

    text: str


Reply = Opened | Answered | Failed


def offsets(slots: tuple[int, ...]) -> tuple[list[int], int]:
    """Where each slot begins, and the size of all.

    >>> offsets((10, 100, 4))
    ([0, 64, 192], 256)
    """
    begins, end = [], 0
    for size in slots:
        begins.append(end)
        end += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return begins, end


def framed(message: Reply | Ask) -> bytes:
    """A message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


def read_frame(pipe: BinaryIO) -> bytes:
    """The next message's body; empty when the other side is gone."""
    head = pipe.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return b""
    return pipe.read(int.from_bytes(head, "little"))
