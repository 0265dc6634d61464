"""One bandwidth limit for all that is downloaded here, however many models come at once."""

from edgewright.clock import Clock

BYTES_PER_KBIT = 125.0


class Throttle:
    """Holds those up who receive, so that together they stay below the limit; None is no limit."""

    def __init__(self, clock: Clock, limit_kbit_s: float | None) -> None:
        self._clock = clock
        self._rate = (limit_kbit_s or 0.0) * BYTES_PER_KBIT
        self._free_s = 0.0

    async def passed(self, size_bytes: int) -> None:
        """So much has arrived: go on when the line would be free again."""
        if not self._rate:
            return
        now_s = self._clock.monotonic_s()
        self._free_s = max(self._free_s, now_s) + size_bytes / self._rate
        await self._clock.sleep(self._free_s - now_s)
