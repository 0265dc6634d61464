"""Queues between who makes messages and who delivers them, each with a bound: what does not fit
pushes out the oldest, and is counted.

    >>> queue = MemoryQueue(limit=2)
    >>> queue.push([b"a", b"b", b"c"])
    >>> [each.payload for each in queue.oldest(10)], queue.dropped
    ([b'b', b'c'], 1)
    >>> queue.confirm(queue.oldest(1)[0].sequence)
    >>> len(queue)
    1
"""

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec


class Queued(msgspec.Struct, frozen=True):
    """A message in a queue; numbers rise and are given once."""

    sequence: int
    payload: bytes


class Queue(Protocol):
    """First in, first out; a message stays until it is confirmed."""

    is_durable: bool
    """Whether what is in it outlives the process."""

    @property
    def dropped(self) -> int:
        """Messages that were pushed out by newer ones before anybody confirmed them."""

    @property
    def damaged(self) -> int:
        """Messages that the queue could not give back as they were."""

    def __len__(self) -> int:
        """Messages that wait."""

    def takes(self, payload: bytes) -> bool:
        """Whether a message is not too large."""

    def push(self, payloads: Sequence[bytes]) -> None:
        """Put messages at the end; when it returns they are as safe as the queue makes them.

        Raises:
            InputError: a message is larger than the queue takes.
            ResourceError: the disk is full or failed.
        """

    def oldest(self, count: int) -> list[Queued]:
        """The next messages to deliver, which stay."""

    def confirm(self, sequence: int) -> None:
        """All messages up to this one are delivered."""

    def close(self) -> None:
        """Let go of files."""


class MemoryQueue:
    """A queue of at most `limit` messages and `limit_bytes`, that ends with the process."""

    is_durable = False
    damaged = 0

    def __init__(self, *, limit: int, limit_bytes: int = 64 << 20) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._waiting: deque[Queued] = deque()
        self._last = 0
        self._dropped = 0
        self._given = 0
        self._in_hand = 0
        """Of those given out last, how many were pushed out since: they may be delivered yet."""

    @property
    def dropped(self) -> int:
        """Messages that were pushed out."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._waiting)

    def takes(self, payload: bytes) -> bool:
        """Whether it fits into an empty queue."""
        return len(payload) <= self._limit_bytes

    def push(self, payloads: Sequence[bytes]) -> None:
        """Put messages at the end."""
        for payload in payloads:
            self._last += 1
            self._waiting.append(Queued(self._last, payload))
            self._size_bytes += len(payload)
            while len(self._waiting) > self._limit or self._size_bytes > self._limit_bytes:
                self._in_hand += self._taken_out().sequence <= self._given
                self._dropped += 1

    def oldest(self, count: int) -> list[Queued]:
        """The next messages to deliver."""
        given = list(itertools.islice(self._waiting, count))
        self._given, self._in_hand = (given[-1].sequence if given else 0), 0
        return given

    def confirm(self, sequence: int) -> None:
        """All messages up to this one are delivered."""
        if sequence >= self._given:
            self._dropped -= self._in_hand
            self._in_hand = 0
        while self._waiting and self._waiting[0].sequence <= sequence:
            self._taken_out()

    def close(self) -> None:
        """Nothing is open."""

    def _taken_out(self) -> Queued:
        first = self._waiting.popleft()
        self._size_bytes -= len(first.payload)
        return first
