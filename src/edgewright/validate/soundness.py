"""When is a measurement no measurement? Pure rules over what was observed; each gives a sentence.

The limits are where a disturbance starts to move a p95 on small machines by more than a few
percent.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.measure.load_result import LoadResult
from edgewright.measure.noise import Noise


class SoundnessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much disturbance a run may have. Strangers on the machine matter when they use more than
    `others_share` of its cores *and* ours had to wait for one (`wait_share` of their time): on a
    quiet machine that is below 1 %, with one stranger for every core about 50 %.

    Latency is counted from the moment that was scheduled, so a late generator makes it longer,
    never shorter: where there is a limit of latency, it may be late by `lag_share` of that, unless
    the lateness alone decides whether the limit is kept.
    """

    steal_share: float = 0.03
    others_share: float = 0.05
    wait_share: float = 0.1
    frequency_ratio: float = 0.75
    client_share: float = 0.9
    lag_p95_s: float = 0.002
    lag_share: float = 0.1
    settled_share: float = 0.5


def noise_doubts(
    noise: Noise, *, knows_server: bool, limits: SoundnessLimits | None = None
) -> tuple[str, ...]:
    """What the machine did to the measurement. The clock that measures cannot step, so a stepping
    wall clock is no doubt. Where the server's process is unknown, its CPU time cannot be told from
    a stranger's.
    """
    limits = limits or SoundnessLimits()
    doubts = []
    if noise.steal_share > limits.steal_share:
        doubts.append(
            f"the hypervisor took {noise.steal_share:.1%} of the cores (steal), "
            f"{limits.steal_share:.0%} is the most a measurement bears"
        )
    waited = noise.wait_share is None or noise.wait_share > limits.wait_share
    if knows_server and noise.others_share > limits.others_share and waited:
        effect = "how much that delayed us is not known"
        if noise.wait_share is not None:
            effect = f"server and generator waited for a core {noise.wait_share:.0%} of their time"
        doubts.append(f"other processes used {noise.others_share:.0%} of the cores, {effect}")
    if noise.frequency_ratio is not None and noise.frequency_ratio < limits.frequency_ratio:
        doubts.append(
            f"the cores' frequency fell to {noise.frequency_ratio:.0%} of its highest (throttling?)"
        )
    if noise.throttled:
        doubts.append(f"heat slowed the cores down {noise.throttled} times")
    return tuple(doubts)


def load_doubts(
    result: LoadResult,
    *,
    is_open: bool,
    limits: SoundnessLimits | None = None,
    limit_ms: float | None = None,
) -> tuple[str, ...]:
    """What the generator did to the measurement; `limit_ms` is the limit of the p95, if any."""
    limits = limits or SoundnessLimits()
    doubts = []
    if result.answered == 0:
        reasons = ", ".join(f"{count} times {reason}" for reason, count in result.errors.items())
        doubts.append(f"no request was answered ({reasons or 'none was sent'})")
    if is_open and result.client_share > limits.client_share:
        doubts.append(
            f"the load generator itself was busy for {result.client_share:.0%} of the time: "
            "it measured itself"
        )
    if len(result.lag_s):
        lag_s = float(np.quantile(result.lag_s, 0.95))
        if _is_late(result, lag_s, limits, limit_ms):
            doubts.append(
                f"the load generator was {lag_s * 1e3:.1f} ms late for one request in twenty: "
                "it could not keep its own schedule"
            )
    return tuple(doubts)


def _is_late(
    result: LoadResult, lag_s: float, limits: SoundnessLimits, limit_ms: float | None
) -> bool:
    """Whether the lateness of one request in twenty may change what is said."""
    latencies_s = result.latencies_s()
    if lag_s <= limits.lag_p95_s:
        return False
    if limit_ms is None or not len(latencies_s):
        return True
    limit_s = limit_ms / 1e3
    p95_s = float(np.quantile(latencies_s, 0.95))
    return lag_s > limits.lag_share * limit_s or p95_s - lag_s <= limit_s < p95_s


def settled_at(values: NDArray[np.float64], *, blocks: int = 100) -> int:
    """The index from which a series is steady, by the marginal standard error rule (MSER) on block
    medians: drop as much of the beginning as makes the mean of the rest most certain.

    >>> rng = np.random.default_rng(0)
    >>> steady = rng.normal(10, 1, 5000)
    >>> warming = steady + 30 * np.exp(-np.arange(5000) / 200)
    >>> settled_at(steady) < 1000, 300 < settled_at(warming) < 2000
    (True, True)
    """
    size = len(values) // blocks
    if size < 1:
        return 0
    medians = np.median(values[: size * blocks].reshape(blocks, size), axis=1)
    last = int(blocks * 0.9)
    errors = [float(medians[cut:].var()) / (blocks - cut) for cut in range(last)]
    return int(np.argmin(errors)) * size


def never_settled(
    values: NDArray[np.float64],
    cut: int,
    *,
    limits: SoundnessLimits | None = None,
    limit_ms: float | None = None,
) -> str:
    """The doubt that a series was still changing when it ended; empty when it was not, and where
    it moved away from the limit and was on one side of it all the time: it may go on like that.
    """
    if len(values) == 0 or cut <= (limits or SoundnessLimits()).settled_share * len(values):
        return ""
    before = float(np.median(values[:cut]))
    after = float(np.median(values[cut:]))
    if abs(after - before) <= 0.1 * max(before, after):
        return ""
    if limit_ms is not None:
        p95_ms = [1e3 * float(np.quantile(part, 0.95)) for part in (values[:cut], values[cut:])]
        if (after < before and max(p95_ms) <= limit_ms) or (
            after > before and min(p95_ms) > limit_ms
        ):
            return ""
    return (
        f"latency was still changing (median {before * 1e3:.3g} ms, then {after * 1e3:.3g} ms): "
        "measure longer"
    )
