"""Records of a queue on disk: length, nonce, AES-256-GCM text. Pure.

A record is sealed together with its number and length, so records cannot be swapped, repeated or
moved. Where bytes were damaged the next record that opens is looked for: a length that is wrong
takes no other message with it.
"""

import os
import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgewright.stores.queue import Queued

_LENGTH = struct.Struct(">I")
_SEALED = struct.Struct(">QI")
_NONCE_BYTES = 12
_TAG_BYTES = 16
OVERHEAD_BYTES = _LENGTH.size + _NONCE_BYTES + _TAG_BYTES


class Seal:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def record(self, message: Queued) -> bytes:
        """A message as it is written."""
        nonce = os.urandom(_NONCE_BYTES)
        length = len(message.payload) + _TAG_BYTES
        text = self._cipher.encrypt(nonce, message.payload, _SEALED.pack(message.sequence, length))
        return _LENGTH.pack(length) + nonce + text

    def messages(self, content: bytes, first: int) -> Iterator[tuple[Queued, int]]:
        """The messages that open, in their order, each with where its record ends."""
        position, sequence = 0, first
        while (found := self._next(content, position, sequence)) is not None:
            message, position = found
            sequence = message.sequence + 1
            yield found

    def _next(self, content: bytes, position: int, sequence: int) -> tuple[Queued, int] | None:
        """The next message that opens, at `position` or after what was damaged there."""
        if found := self._opened(content, position, sequence):
            return found
        for start in range(position + 1, len(content) - OVERHEAD_BYTES + 1):
            if not _is_plausible(content, start):
                continue
            skipped = max((start - position) // OVERHEAD_BYTES, 1)
            for number in range(sequence + 1, sequence + skipped + 1):
                if found := self._opened(content, start, number):
                    return found
        return None

    def _opened(self, content: bytes, start: int, sequence: int) -> tuple[Queued, int] | None:
        """The message of the record at `start`; None when it is not what was sealed."""
        end = _end_of(content, start)
        if end is None:
            return None
        text_at = start + _LENGTH.size + _NONCE_BYTES
        text = content[text_at:end]
        sealed = _SEALED.pack(sequence, len(text))
        try:
            payload = self._cipher.decrypt(content[text_at - _NONCE_BYTES : text_at], text, sealed)
        except InvalidTag:
            return None
        return Queued(sequence, payload), end


def _end_of(content: bytes, start: int) -> int | None:
    """Where a record ends that begins at `start`; None when none can."""
    if start + OVERHEAD_BYTES > len(content):
        return None
    (length,) = _LENGTH.unpack_from(content, start)
    end = start + _LENGTH.size + _NONCE_BYTES + int(length)
    return end if length >= _TAG_BYTES and end <= len(content) else None


def _is_plausible(content: bytes, start: int) -> bool:
    """Whether a record may begin at `start`: it ends at the end, or where another may begin. To
    open whatever looks like a length would take minutes.
    """
    end = _end_of(content, start)
    return end is not None and (end == len(content) or _end_of(content, end) is not None)
