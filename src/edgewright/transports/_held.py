"""Bodies that have come in part, of all peers of one server together.

Each peer may leave a body of the largest size here and say nothing more for as long as a body may
take, so a few dozen of them would fill a small machine. When it is too much whoever began first
makes room: one that is still on its way arrives soon, one that was left here does not.
"""

from typing import Protocol

FREE_BYTES = 64 << 10
"""So much of each peer counts for nothing; places are limited already."""


class Holder(Protocol):
    """A peer whose body has come in part."""

    def make_room(self) -> None:
        """Refuse what has come in part."""


class HeldBodies:
    """Who has left how much here; the first who began is the first to go."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._sizes: dict[Holder, int] = {}
        self._total = 0

    def note(self, holder: Holder, size: int) -> None:
        """So much of it is here now."""
        if size <= FREE_BYTES:
            self.forget(holder)
            return
        self._total += size - self._sizes.get(holder, 0)
        self._sizes[holder] = size
        while self._total > self._most_bytes and len(self._sizes) > 1:
            first = next(iter(self._sizes))
            self.forget(first)
            first.make_room()

    def forget(self, holder: Holder) -> None:
        """It is whole, or gone."""
        self._total -= self._sizes.pop(holder, 0)
