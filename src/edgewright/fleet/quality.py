"""Is the new release as good as the old one, by what devices tell while both serve? Values in,
values out.

Errors of the two are compared by a sequential contest and, where a limit is given, the new release
alone by a sequential watch: both may be looked at after every record and still accuse a release
that is as good with 1 % probability at most. A latency limit becomes a rate: how many of the spans
that devices report had their 95th percentile above it.

>>> old, new = Served(requests=1000, errors=5), Served(requests=1000, errors=60)
>>> breach(Quality(worst_ratio=1.5), old=old, new=new)
'60 of 1000 requests failed on the new release, 5 of 1000 on the old one'
"""

import msgspec

from edgewright.evidence.intervals import rate_interval
from edgewright.evidence.sequential import RateContest, RateWatch

SLOW_SPANS_RATE = 0.1
"""A span counts as slow by its own 95th percentile; a sound release has few of them."""


class Quality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the new release must not do worse, and what it must not do at all."""

    worst_ratio: float | None = None
    error_percent: float | None = None
    latency_p95_ms: float | None = None

    def __post_init__(self) -> None:
        if self.worst_ratio is not None and self.worst_ratio < 1:
            raise ValueError(f"worst_ratio is {self.worst_ratio:g}, expected 1 or more")
        if self.error_percent is not None and not 0 < self.error_percent < 100:
            raise ValueError(f"error_percent is {self.error_percent:g}, expected 0 to 100")
        if self.latency_p95_ms is not None and self.latency_p95_ms <= 0:
            raise ValueError(f"latency_p95_ms is {self.latency_p95_ms:g}, expected above 0")

    @property
    def is_asked(self) -> bool:
        """Whether anything is to be looked at."""
        return (self.worst_ratio, self.error_percent, self.latency_p95_ms) != (None, None, None)


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


def breach(quality: Quality, *, old: Served, new: Served) -> str:
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
    return ""


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
