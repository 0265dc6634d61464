"""Intervals for quantiles, rates and means, from samples alone.

Quantiles use order statistics (no assumption on the distribution), rates use the exact binomial
bound, everything else the bootstrap. Randomness comes in as a numpy Generator.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgewright.errors import InputError
from edgewright.evidence.interval import Interval

Statistic = Callable[[NDArray[np.float64]], float]
SumsStatistic = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Values of many draws: of each the sum of its rows, and how many samples it has."""
Sides = Literal["both", "upper", "lower"]

_CHUNK_ELEMENTS = 2_000_000
_TAIL_DEVIATIONS = 14.0
_BISECTIONS = 60


def quantile_interval(
    samples: ArrayLike, q: float, *, confidence: float = 0.95, design_effect: float = 1.0
) -> Interval:
    """A quantile between two order statistics of the samples.

    A bound is None when there are too few samples for it (see `samples_for_quantile`).
    `design_effect` is how many dependent samples are worth one independent sample
    (`design_effect` below).

    >>> quantile_interval(range(1, 1001), 0.95)
    Interval(value=950.0, low=936.0, high=964.0, confidence=0.95)
    >>> quantile_interval(range(1, 21), 0.95).high is None
    True

    Raises:
        InputError: no samples, or a sample that is NaN.
    """
    ordered = np.sort(_checked(samples))
    count = len(ordered)
    value = float(ordered[max(math.ceil(q * count), 1) - 1])
    effective = max(int(count / max(design_effect, 1.0)), 1)
    low_rank, high_rank = _quantile_ranks(effective, q, confidence)
    low = _ranked(ordered, low_rank, effective) if low_rank >= 1 else None
    high = _ranked(ordered, high_rank, effective) if high_rank <= effective else None
    return Interval(value, low, high, confidence)


def samples_for_quantile(q: float, *, confidence: float = 0.95) -> int:
    """The least number of independent samples that bounds a quantile from both sides.

    >>> samples_for_quantile(0.95), samples_for_quantile(0.99)
    (72, 368)
    """
    tail = (1 - confidence) / 2
    extreme = max(q, 1 - q)
    return math.ceil(math.log(tail) / math.log(extreme))


def rate_interval(events: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """A rate with its exact (Clopper-Pearson) bounds: no event in n trials still allows 3/n.

    >>> interval = rate_interval(0, 300, confidence=0.9)
    >>> interval.low, round(interval.high, 4)
    (0.0, 0.0099)
    """
    if not 0 <= events <= trials or trials == 0:
        raise InputError(f"a rate of {events} events in {trials} trials", hint="measure something")
    tail = (1 - confidence) / 2
    low = 0.0
    if events > 0:
        low = _bisect(lambda rate: 1 - binomial_cdf(events - 1, trials, rate) < tail)
    high = 1.0
    if events < trials:
        high = _bisect(lambda rate: binomial_cdf(events, trials, rate) > tail)
    return Interval(events / trials, low, high, confidence)


def bootstrap_interval(
    values: ArrayLike,
    *,
    statistic: Statistic,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
    rng: np.random.Generator,
    rounds: int = 2000,
) -> Interval:
    """Any statistic of samples; whole groups (subjects, recordings) are drawn when they are given.

    The percentiles are widened for few groups as Student's t is wider than the normal (Hesterberg's
    expanded percentile).

    Raises:
        InputError: fewer than two samples or groups.
    """
    samples = _checked(values)
    members = _members(groups, len(samples))
    drawn = np.empty(rounds)
    for round_index in range(rounds):
        picked = rng.integers(0, len(members), len(members))
        if groups is not None:
            picked = np.concatenate([members[i] for i in picked])
        drawn[round_index] = statistic(samples[picked])
    return _percentiles(float(statistic(samples)), drawn, len(members), confidence, "both")


def sums_interval(
    rows: ArrayLike,
    *,
    statistic: SumsStatistic,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
    rng: np.random.Generator,
    rounds: int = 2000,
) -> Interval:
    """The bootstrap's interval of a statistic that is made of sums over samples, drawn at once: the
    same as `bootstrap_interval` gives, at a fraction of its time. A row of numbers a sample.

    >>> rows = np.random.default_rng(1).normal(5, 1, (400, 1))
    >>> found = sums_interval(rows, statistic=lambda sums, counts: sums[:, 0] / counts,
    ...                       rng=np.random.default_rng(0))
    >>> found.low < 5 < found.high
    True

    Raises:
        InputError: fewer than two samples or groups.
    """
    samples = np.asarray(rows, dtype=np.float64)
    _checked(samples)
    members = _members(groups, len(samples))
    sums = np.stack([samples[member].sum(axis=0) for member in members])
    counts = np.array([len(member) for member in members], dtype=np.float64)
    drawn = np.empty(rounds)
    step = max(_CHUNK_ELEMENTS // sums.size, 1)
    for start in range(0, rounds, step):
        picked = rng.integers(0, len(members), (min(step, rounds - start), len(members)))
        drawn[start : start + step] = statistic(
            sums[picked].sum(axis=1), counts[picked].sum(axis=1)
        )
    whole = statistic(sums.sum(axis=0, keepdims=True), counts.sum(keepdims=True))
    return _percentiles(float(whole[0]), drawn, len(members), confidence, "both")


def median_interval(
    values: ArrayLike, *, confidence: float = 0.95, rng: np.random.Generator, rounds: int = 2000
) -> Interval:
    """The bootstrap's interval of a median, drawn at once: the same as `bootstrap_interval` gives,
    at a fraction of its time.

    >>> values = np.random.default_rng(1).normal(5, 1, 400)
    >>> found = median_interval(values, rng=np.random.default_rng(0))
    >>> found.low < 5 < found.high
    True

    Raises:
        InputError: fewer than two samples.
    """
    samples = _checked(values)
    count = len(_members(None, len(samples)))
    drawn = np.empty(rounds)
    step = max(_CHUNK_ELEMENTS // count, 1)
    for start in range(0, rounds, step):
        picked = rng.integers(0, count, (min(step, rounds - start), count))
        drawn[start : start + step] = np.median(samples[picked], axis=1)
    return _percentiles(float(np.median(samples)), drawn, count, confidence, "both")


def paired_bootstrap_drop(
    reference_scores: ArrayLike,
    candidate_scores: ArrayLike,
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
    sides: Sides = "both",
    rng: np.random.Generator,
    rounds: int = 4000,
) -> Interval:
    """How much lower the candidate's mean score is than the reference's on the same samples.

    `sides="upper"` gives the one-sided bound "the drop is at most high", which a budget is held
    against. Where no sample differs the interval is a point: a bootstrap knows nothing about what
    the samples do not show, `rate_interval(0, n)` does.

    >>> rng = np.random.default_rng(0)
    >>> drop = paired_bootstrap_drop([1, 1, 1, 0] * 50, [1, 1, 0, 0] * 50, rng=rng)
    >>> drop.value, drop.low > 0.15, drop.high < 0.35
    (0.25, True, True)

    Raises:
        InputError: the scores differ in number, are not finite, or come from one group only.
    """
    reference = _checked(reference_scores)
    candidate = _checked(candidate_scores)
    if len(reference) != len(candidate):
        raise InputError(
            f"{len(reference)} reference scores and {len(candidate)} candidate scores do not pair",
            hint="score both on the same samples",
        )
    members = _members(groups, len(reference))
    difference = reference - candidate
    sums = np.array([difference[rows].sum() for rows in members])
    counts = np.array([len(rows) for rows in members], dtype=np.float64)
    drawn = _drawn_means(sums, counts, rng=rng, rounds=rounds)
    return _percentiles(float(difference.mean()), drawn, len(members), confidence, sides)


def design_effect(samples: ArrayLike, q: float, *, blocks: int = 40) -> float:
    """How many samples in time order are worth one independent sample, for a quantile.

    Answers of a server come in good and bad stretches. The variance of the share above the quantile
    between blocks of time, over what independent samples would show; never below 1.

    >>> design_effect(np.random.default_rng(1).random(4000), 0.9) < 2
    True
    >>> design_effect(np.repeat(np.random.default_rng(1).random(40), 100), 0.9) > 50
    True
    """
    values = _checked(samples)
    size = len(values) // blocks
    if size < 1:
        return 1.0
    above = (values > np.quantile(values, q)).astype(np.float64)
    share = above.mean()
    if share in (0.0, 1.0):
        return 1.0
    shares = above[: size * blocks].reshape(blocks, size).mean(axis=1)
    return max(1.0, float(shares.var(ddof=1) / (share * (1 - share) / size)))


def binomial_cdf(events: int, trials: int, rate: float) -> float:
    """P(at most `events` in `trials`)."""
    if events < 0:
        return 0.0
    if events >= trials or rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    first, masses = _binomial_masses(trials, rate)
    return float(masses[: max(events - first + 1, 0)].sum())


def student_quantile(p: float, freedom: int) -> float:
    """Student's t quantile (Hill's expansion; exact for 1 and 2 degrees of freedom).

    >>> round(student_quantile(0.975, 1), 2), round(student_quantile(0.975, 9), 2)
    (12.71, 2.26)
    """
    if p < 0.5:
        return -student_quantile(1 - p, freedom)
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    samples = np.asarray(values, dtype=np.float64).ravel()
    if len(samples) == 0:
        raise InputError("no samples", hint="measure something before asking for an interval")
    if np.isnan(samples).any():
        raise InputError(
            f"{int(np.isnan(samples).sum())} of {len(samples)} samples are NaN",
            hint="find out where they come from before asking for an interval",
        )
    return samples


def _members(groups: Sequence[Any] | NDArray[Any] | None, count: int) -> list[NDArray[np.intp]]:
    if groups is None:
        members = list(np.arange(count).reshape(-1, 1))
    else:
        if len(groups) != count:
            raise InputError(
                f"{len(groups)} group names for {count} samples", hint="name one for every sample"
            )
        _, codes = np.unique(np.asarray(groups), return_inverse=True)
        order = np.argsort(codes, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    if len(members) < 2:
        raise InputError(
            f"a bootstrap over {len(members)} sample or group", hint="give it at least two"
        )
    return members


def _drawn_means(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    rounds: int,
) -> NDArray[np.float64]:
    total = len(sums)
    drawn = np.empty(rounds)
    step = max(_CHUNK_ELEMENTS // total, 1)
    for start in range(0, rounds, step):
        picked = rng.integers(0, total, (min(step, rounds - start), total))
        drawn[start : start + step] = sums[picked].sum(axis=1) / counts[picked].sum(axis=1)
    return drawn


def _percentiles(
    value: float, drawn: NDArray[np.float64], units: int, confidence: float, sides: Sides
) -> Interval:
    tail = (1 - confidence) / (2 if sides == "both" else 1)
    wide = student_quantile(tail, units - 1) * math.sqrt(units / (units - 1))
    widened = NormalDist().cdf(wide)
    low = None if sides == "upper" else float(np.quantile(drawn, widened))
    high = None if sides == "lower" else float(np.quantile(drawn, 1 - widened))
    return Interval(value, low, high, confidence)


def _quantile_ranks(count: int, q: float, confidence: float) -> tuple[int, int]:
    """Ranks l, u (from 1) with P(x_l <= quantile <= x_u) >= confidence, equal tails.

    x_l is above the quantile with probability P(B < l), x_u is below it with P(B >= u).
    """
    tail = (1 - confidence) / 2
    first, masses = _binomial_masses(count, q)
    below = np.cumsum(masses)
    low_rank = first + int(np.searchsorted(below, tail, side="right"))
    high_rank = first + int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return low_rank, high_rank


def _ranked(ordered: NDArray[np.float64], rank: int, effective: int) -> float:
    """The order statistic at a rank among `effective` samples, in the longer real list."""
    position = math.ceil(rank * len(ordered) / effective)
    return float(ordered[min(max(position, 1), len(ordered)) - 1])


def _binomial_masses(trials: int, rate: float) -> tuple[int, NDArray[np.float64]]:
    """The probabilities around the mean, and the count that the first of them belongs to."""
    spread = _TAIL_DEVIATIONS * math.sqrt(trials * rate * (1 - rate)) + 40
    first = max(int(trials * rate - spread), 0)
    last = min(int(trials * rate + spread), trials)
    counts = np.arange(first, last, dtype=np.float64)
    start = (
        math.lgamma(trials + 1)
        - math.lgamma(first + 1)
        - math.lgamma(trials - first + 1)
        + first * math.log(rate)
        + (trials - first) * math.log1p(-rate)
    )
    steps = np.log((trials - counts) / (counts + 1)) + math.log(rate) - math.log1p(-rate)
    return first, np.exp(start + np.concatenate([[0.0], np.cumsum(steps)]))


def _bisect(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
