"""Which record numbers may be in use already: reserved in blocks, in a file beside the outbox.

A device that lost its outbox would begin at 1 again, and its fleet would take every record for one
that it knows. With this file it goes on above everything it may have sent.
"""

from edgewright.errors import InputError
from edgewright.stores import Log

BLOCK = 1000
KEEP = 32


class Numbers:
    """The reservations of one device's records."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reserved = max((_number(entry.payload) for entry in log.entries), default=0)

    @property
    def reserved(self) -> int:
        """No record carries a higher number than this."""
        return self._reserved

    def reserve(self, number: int) -> None:
        """Have this number, and the block that begins with it, reserved for good.

        Raises:
            ResourceError: the disk is full or failed; the number must not be used.
        """
        if number <= self._reserved:
            return
        last = number + BLOCK - 1
        self._log.append(b"%d" % last)
        self._reserved = last
        if len(self._log.entries) > KEEP:
            self._log.trim(before=self._log.entries[-1].sequence)

    def first_free(self, log: Log) -> int:
        """The number that the next record of this outbox may carry: what the outbox says, unless it
        lost lines at its end.
        """
        is_whole = log.next_sequence > max(self._reserved - BLOCK, 0) and not log.torn_bytes
        if self._reserved and (log.next_sequence == 1 or not is_whole):
            return self._reserved + 1
        return log.next_sequence


def _number(payload: bytes) -> int:
    if not payload.isdigit():
        raise InputError("numbers.log: not a number", hint="a newer agent wrote it; install it")
    return int(payload)
