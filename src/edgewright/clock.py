"""Time as an argument: rooms take a `Clock`, so that tests move time instead of waiting for it.

>>> from edgewright.testing import FakeClock
>>> clock = FakeClock(wall_s=1_000.0)
>>> clock.advance(2.5)
>>> clock.wall_s(), clock.monotonic_s()
(1002.5, 2.5)
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

BUILT_S = 1_767_225_600.0
"""No true clock shows less: set anew with each release. A device without a clock takes it."""


class Clock(Protocol):
    """The two clocks of a machine and the wait between them."""

    def wall_s(self) -> float:
        """Seconds since 1970, which may jump."""

    def monotonic_s(self) -> float:
        """Seconds since some start, which never fall."""

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""


class SystemClock:
    """The machine's own clocks."""

    def wall_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def iso(wall_s: float) -> str:
    """The UTC text of a wall time, as records and reports carry it.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
