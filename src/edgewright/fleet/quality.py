"""Is the new release as good as the old one, by what devices tell while both serve? Values in,
values out.

Errors of the two are compared by a sequential contest and, where a limit is given, the new release
alone by a sequential watch: both may be looked at after every record and still accuse a release
that is as good with 1 % probability at most. A latency limit becomes a rate: how many of the spans
that devices report had their 95th percentile above it. What devices measured by themselves, before
they let a release serve, is compared in pairs, device by device, by the signed ranks with which
`edgewright validate --against` compares two versions.

>>> old, new = Served(requests=1000, errors=5), Served(requests=1000, errors=60)
>>> breach(Quality(worst_ratio=1.5), old=old, new=new)
'60 of 1000 requests failed on the new release, 5 of 1000 on the old one'
"""

from collections.abc import Sequence

import msgspec

from edgewright.evidence.intervals import rate_interval
from edgewright.evidence.sequential import RateContest, RateWatch
from edgewright.evidence.shift import Shift, paired_shift

SLOW_SPANS_RATE = 0.1
"""A span counts as slow by its own 95th percentile; a sound release has few of them."""
PAIRS_LEAST = 12
"""Pairs of the first look; each further look is at twice as many, with half the false alarms."""
FALSE_ALARM = 0.005
"""Of the first look; of all looks together twice as much, at most."""

Pair = tuple[float, float]
"""The p95 in ms that one device measured of the old release and of the new one."""


class Quality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the new release must not do worse, and what it must not do at all."""

    worst_ratio: float | None = None
    error_percent: float | None = None
    latency_p95_ms: float | None = None
    worst_latency_ratio: float | None = None

    def __post_init__(self) -> None:
        for name in ("worst_ratio", "worst_latency_ratio"):
            ratio = getattr(self, name)
            if ratio is not None and not 1 <= ratio < float("inf"):
                raise ValueError(f"{name} is {ratio:g}, expected 1 or more")
        if self.error_percent is not None and not 0 < self.error_percent < 100:
            raise ValueError(f"error_percent is {self.error_percent:g}, expected 0 to 100")
        if self.latency_p95_ms is not None and not 0 < self.latency_p95_ms < float("inf"):
            raise ValueError(f"latency_p95_ms is {self.latency_p95_ms:g}, expected above 0")

    @property
    def is_asked(self) -> bool:
        """Whether anything is to be looked at."""
        return self != Quality()


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What devices told of one release."""

    requests: int = 0
    errors: int = 0
    spans: int = 0
    slow_spans: int = 0


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How the new release compares to the old one, and what to do."""

    old: Served
    new: Served
    old_error_percent: float | None
    new_error_percent: float | None
    effect_points: float | None
    low_points: float | None
    high_points: float | None
    confidence: float
    recommendation: str
    probes: int = 0
    latency_ratio: float | None = None
    latency_ratio_low: float | None = None
    latency_ratio_high: float | None = None


def breach(quality: Quality, *, old: Served, new: Served, pairs: Sequence[Pair] = ()) -> str:
    """Why the rollout must not go on; empty when nothing speaks against it so far."""
    if quality.worst_ratio is not None:
        contest = RateContest(worst_ratio=quality.worst_ratio)
        judged = contest.judge(
            old_events=old.errors,
            old_trials=old.requests,
            new_events=new.errors,
            new_trials=new.requests,
        )
        if judged == "bad":
            return (
                f"{new.errors} of {new.requests} requests failed on the new release, "
                f"{old.errors} of {old.requests} on the old one"
            )
    if quality.error_percent is not None:
        watch = RateWatch(limit_rate=quality.error_percent / 100)
        if watch.judge(events=new.errors, trials=new.requests) == "bad":
            return (
                f"{new.errors} of {new.requests} requests failed on the new release, the limit is "
                f"{quality.error_percent:g} %"
            )
    if quality.latency_p95_ms is not None:
        watch = RateWatch(limit_rate=SLOW_SPANS_RATE)
        if watch.judge(events=new.slow_spans, trials=new.spans) == "bad":
            return (
                f"p95 was above {quality.latency_p95_ms:g} ms in {new.slow_spans} of {new.spans} "
                "reports of the new release"
            )
    if quality.worst_latency_ratio is not None:
        return _slower(pairs, quality.worst_latency_ratio)
    return ""


def _slower(pairs: Sequence[Pair], limit: float) -> str:
    """Why the new release is too slow on the devices themselves. Looks are fixed beforehand, at 12,
    24, 48, ... pairs in their order, so that looking after every report makes no false alarm more.
    """
    count, false_alarm = PAIRS_LEAST, FALSE_ALARM
    while count <= len(pairs):
        ratio = _shift(pairs[:count], false_alarm).ratio
        if ratio.low is not None and ratio.low > limit:
            return (
                f"on {count} devices the p95 that they measured by themselves is {ratio.value:.3g} "
                f"times the old release's ({ratio.low:.3g} at least), the limit is {limit:g}"
            )
        count, false_alarm = 2 * count, false_alarm / 2
    return ""


def _shift(pairs: Sequence[Pair], false_alarm: float) -> Shift:
    before, after = zip(*pairs, strict=True)
    return paired_shift(before, after, false_alarm=false_alarm)


def with_probes(found: Difference, pairs: Sequence[Pair]) -> Difference:
    """The same with what devices measured by themselves, where enough of them measured both."""
    if len(pairs) < PAIRS_LEAST:
        return msgspec.structs.replace(found, probes=len(pairs))
    ratio = _shift(pairs, (1 - found.confidence) / 2).ratio
    return msgspec.structs.replace(
        found,
        probes=len(pairs),
        latency_ratio=ratio.value,
        latency_ratio_low=ratio.low,
        latency_ratio_high=ratio.high,
    )


def compare(old: Served, new: Served, *, confidence: float = 0.95) -> Difference:
    """The difference of error rates in percentage points with its interval (Newcombe's, from the
    intervals of the two rates), and what it says.

    >>> found = compare(Served(requests=1000, errors=50), Served(requests=1000, errors=5))
    >>> found.effect_points, found.recommendation
    (-4.5, 'take the new release: it fails less')
    """
    if not old.requests or not new.requests:
        side = "new" if not new.requests else "old"
        return Difference(
            old=old,
            new=new,
            old_error_percent=_percent(old),
            new_error_percent=_percent(new),
            effect_points=None,
            low_points=None,
            high_points=None,
            confidence=confidence,
            recommendation=f"wait: no request was reported for the {side} release",
        )
    p_old, p_new = old.errors / old.requests, new.errors / new.requests
    old_low, old_high = _bounds(old, confidence)
    new_low, new_high = _bounds(new, confidence)
    effect = p_new - p_old
    low = effect - ((p_new - new_low) ** 2 + (old_high - p_old) ** 2) ** 0.5
    high = effect + ((new_high - p_new) ** 2 + (p_old - old_low) ** 2) ** 0.5
    return Difference(
        old=old,
        new=new,
        old_error_percent=_percent(old),
        new_error_percent=_percent(new),
        effect_points=round(100 * effect, 4),
        low_points=round(100 * low, 4),
        high_points=round(100 * high, 4),
        confidence=confidence,
        recommendation=_advice(low, high),
    )


def _bounds(served: Served, confidence: float) -> tuple[float, float]:
    """Between which rates the true one lies; where nothing bounds it, 0 and 1 do."""
    found = rate_interval(served.errors, served.requests, confidence=confidence)
    low = 0.0 if found.low is None else found.low
    return low, 1.0 if found.high is None else found.high


def _advice(low: float, high: float) -> str:
    if high < 0:
        return "take the new release: it fails less"
    if low > 0:
        return "keep the old release: the new one fails more"
    return "no difference is shown yet: collect more requests, or decide by something else"


def _percent(served: Served) -> float | None:
    return round(100 * served.errors / served.requests, 4) if served.requests else None
