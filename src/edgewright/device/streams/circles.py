"""Bridges that send each other's messages back, for ever. Pure.

>>> overlap("gym/+/imu", "gym/#"), overlap("gym/+", "gym/a/b")
(True, False)
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol


class Way(Protocol):
    """One way between two brokers."""

    @property
    def source(self) -> str:
        """Where messages come from."""

    @property
    def target(self) -> str:
        """Where they go."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Which ones."""

    @property
    def prefix(self) -> str:
        """What is put before their topics."""


def overlap(one: str, other: str) -> bool:
    """Whether a topic may match both of two filters."""
    for left, right in zip_longest(one.split("/"), other.split("/")):
        if "#" in (left, right):
            return True
        if left is None or right is None or (left != right and "+" not in (left, right)):
            return False
    return True


def circle_in(ways: Sequence[Way]) -> tuple[int, int] | None:
    """The places of two bridges that hand a message back and forth without end."""
    for at, there in enumerate(ways):
        for place, back in enumerate(ways[at + 1 :], start=at + 1):
            if _is_circle(there, back):
                return at, place
    return None


def _is_circle(there: Way, back: Way) -> bool:
    """Whether a message comes round twice: what comes round once may still come to an end."""
    ends, starts = (
        (_bare(there.source), _bare(there.target)),
        (_bare(back.target), _bare(back.source)),
    )
    if ends != starts:
        return False
    found = list(there.topics)
    for way, following in ((there, back), (back, there), (there, back), (back, there)):
        found = [
            way.prefix + topic
            for topic in found
            if any(overlap(way.prefix + topic, wanted) for wanted in following.topics)
        ]
    return bool(found)


def _bare(url: str) -> str:
    """An address without who we are there."""
    return url.partition("://")[2].rpartition("@")[2].rstrip("/")
