"""The questions of one validation, ready to be put on a server in a loop."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.measure.load import ClosedLoop, Connect, LoadLimits, LoadTarget, OpenLoop
from edgewright.measure.load_result import LoadResult

Loop = ClosedLoop | OpenLoop


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go and what they are; `connect` is None for HTTP."""

    target: LoadTarget
    requests: tuple[bytes, ...]
    connect: Connect | None = None

    def closed(self, limits: LoadLimits, *, connections: int) -> ClosedLoop:
        """So many clients that each wait for their answer."""
        return ClosedLoop(
            self.target,
            self.requests,
            limits,
            connections=connections,
            connect=self.connect,
        )

    def opened(
        self, limits: LoadLimits, *, arrivals_s: NDArray[np.float64], connections: int
    ) -> OpenLoop:
        """Requests that leave at these moments."""
        return OpenLoop(
            self.target,
            self.requests,
            limits,
            arrivals_s=arrivals_s,
            connections=connections,
            connect=self.connect,
        )


def merged_answers(results: list[LoadResult]) -> tuple[dict[bytes, int], ...]:
    """The answers of several runs of the same questions as those of one."""
    merged: tuple[dict[bytes, int], ...] = tuple({} for _ in results[0].answers)
    for result in results:
        for known, more in zip(merged, result.answers, strict=True):
            for body, count in more.items():
                known[body] = known.get(body, 0) + count
    return merged
