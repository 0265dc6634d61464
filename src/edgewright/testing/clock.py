"""A clock that moves when told to."""

import asyncio


class FakeClock:
    """Both clocks of a machine, moved by hand; `sleep` moves them and yields once."""

    def __init__(self, *, wall_s: float = 1_700_000_000.0, monotonic_s: float = 0.0) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self.slept_s: list[float] = []

    def wall_s(self) -> float:
        return self._wall_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._wall_s += seconds
        self._monotonic_s += seconds

    def set_wall(self, wall_s: float) -> None:
        """Let the wall clock jump, as NTP or a flat battery does."""
        self._wall_s = wall_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)
