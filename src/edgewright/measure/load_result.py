"""What a load run measured, as arrays in the order in which requests were meant to go out."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENDING, ANSWERED, REFUSED, GIVEN_UP = range(4)
"""What became of a request: nothing yet, success, an error as answer, waited for in vain."""


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since the run's start; NaN is "never".

    In an open loop `scheduled_s` is when the arrival process wanted the request out, whatever the
    server or the generator were doing: latency counts from there, so a stall is charged to every
    request that it delayed. `lag_s` holds how late the generator itself was, for the requests that
    had a free connection. `answers` holds, for each payload, every distinct body with its count;
    `unkept` counts answers for whose new body there was no room any more.
    """

    scheduled_s: Floats
    sent_s: Floats
    done_s: Floats
    lag_s: Floats
    states: NDArray[np.uint8]
    errors: dict[str, int]
    refusals: dict[str, bytes]
    answers: tuple[dict[bytes, int], ...]
    unkept: int
    wall_s: float
    client_cpu_s: float
    started_wall_s: float
    connections: int
    reconnects: int = 0
    is_interrupted: bool = False

    @property
    def requests(self) -> int:
        """How many were scheduled, answered or not."""
        return len(self.states)

    @property
    def answered(self) -> int:
        """How many were answered with success."""
        return int(np.count_nonzero(self.states == ANSWERED))

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def throughput_rps(self) -> float:
        """Successful answers a second of the run."""
        return self.answered / self.wall_s if self.wall_s > 0 else 0.0

    @property
    def client_share(self) -> float:
        """How busy the generator was, of one core; near 1 it measured itself."""
        return self.client_cpu_s / self.wall_s if self.wall_s > 0 else 0.0

    def latencies_s(self, *, after_s: float = 0.0) -> Floats:
        """Seconds from schedule to answer, in schedule order, for requests meant for `after_s` or
        later. A request that was given up counts with the time it was waited for, which is less
        than it would have taken; a refused one does not count, its number is in `errors`.
        """
        kept = self._counting(after_s)
        return np.asarray((self.done_s - self.scheduled_s)[kept])

    def moments_s(self, *, after_s: float = 0.0) -> Floats:
        """When the requests of `latencies_s` were meant to go out."""
        return np.asarray(self.scheduled_s[self._counting(after_s)])

    def _counting(self, after_s: float) -> NDArray[np.bool_]:
        waited = (self.states == ANSWERED) | (self.states == GIVEN_UP)
        return np.asarray(waited & (self.scheduled_s >= after_s))
