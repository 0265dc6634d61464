"""Is the new version slower? Two versions measured in pairs of rounds, side by side in time, so
that whatever the machine does hits both.

The answer is the median of the averages of all two log ratios (Hodges and Lehmann's) with the
bounds that Wilcoxon's signed ranks give: a round that was hit by a pause counts little. Where a
coin decided which version had the first round of a pair, equal versions give ratios that are as
often above as below, however the machine behaved, and the bounds are exact: `false_alarm` is the
highest chance to accuse an equal version, not an approximation. `detectable` is the smallest ratio
that this many rounds would have caught with `power`.
"""

import functools
import math
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgewright.errors import InputError
from edgewright.evidence.interval import Interval

_LEAST_ROUNDS = 10

Judgement = Literal["slower", "not slower", "unclear"]


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """How many times the reference's time the candidate takes.

    "not slower" is said only when a slow-down of `margin` would have been caught; otherwise the
    rounds were too few or too noisy, and that is "unclear".
    """

    ratio: Interval
    detectable: float
    rounds: int
    judgement: Judgement


def paired_shift(
    reference: ArrayLike,
    candidate: ArrayLike,
    *,
    margin: float = 0.1,
    false_alarm: float = 1 / 400,
    power: float = 0.95,
) -> Shift:
    """Compare one figure of every round (a p95, a median, seconds a batch), round by round.

    >>> rng = np.random.default_rng(0)
    >>> drift = rng.normal(0, 0.3, 40)
    >>> old, new = (np.exp(drift + rng.normal(0, 0.05, 40)) for _ in range(2))
    >>> paired_shift(old, new).judgement, paired_shift(old, new * 1.1).judgement
    ('not slower', 'slower')

    Raises:
        InputError: fewer than ten rounds, rounds that do not pair, or a figure that is not above 0.
    """
    logs = _log_ratios(reference, candidate)
    averages = _pairwise_averages(logs)
    rank = _signed_rank_bound(len(logs), false_alarm)
    if rank == 0:
        raise InputError(
            f"{len(logs)} rounds cannot show anything with one false alarm in "
            f"{1 / false_alarm:.0f}",
            hint=f"measure {math.ceil(math.log2(1 / false_alarm))} rounds or more",
        )
    centre = float(np.median(averages))
    low, high = float(averages[rank - 1]), float(averages[-rank])
    normal = NormalDist()
    error = (high - low) / 2 / normal.inv_cdf(1 - false_alarm)
    detectable = math.exp(centre - low + normal.inv_cdf(power) * error)
    interval = Interval(math.exp(centre), math.exp(low), math.exp(high), 1 - 2 * false_alarm)
    judgement: Judgement = "unclear"
    if low > 0:
        judgement = "slower"
    elif detectable <= 1 + margin:
        judgement = "not slower"
    return Shift(ratio=interval, detectable=detectable, rounds=len(logs), judgement=judgement)


def _log_ratios(reference: ArrayLike, candidate: ArrayLike) -> NDArray[np.float64]:
    old = np.asarray(reference, dtype=np.float64)
    new = np.asarray(candidate, dtype=np.float64)
    if old.shape != new.shape or old.ndim != 1 or len(old) < _LEAST_ROUNDS:
        raise InputError(
            f"{old.size} and {new.size} rounds cannot be compared",
            hint=f"measure both versions in the same rounds, at least {_LEAST_ROUNDS}",
        )
    if not ((old > 0) & (new > 0) & np.isfinite(old) & np.isfinite(new)).all():
        raise InputError(
            "a round has a figure that is not above 0", hint="leave out rounds without answers"
        )
    return np.asarray(np.log(new / old))


def _pairwise_averages(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The averages of all two values, each with itself too, in ascending order."""
    left, right = np.triu_indices(len(values))
    return np.sort((values[left] + values[right]) / 2)


@functools.cache
def _signed_rank_bound(count: int, tail: float) -> int:
    """Which of the ordered averages bounds the middle: the highest r for which the signed ranks of
    `count` values add up to less than r with a chance of `tail` at most, when every sign is a coin.

    >>> _signed_rank_bound(10, 0.025), _signed_rank_bound(9, 1 / 800)
    (9, 0)
    """
    chances = np.ones(1)
    for rank in range(1, count + 1):
        grown = np.zeros(len(chances) + rank)
        grown[: len(chances)] = chances
        grown[rank:] += chances
        chances = grown / 2
    return int(np.searchsorted(np.cumsum(chances), tail, side="right"))
