"""Is the new version slower? Two versions measured in pairs of rounds, side by side in time, so
that whatever the machine does hits both.

The answer is the trimmed mean of the log ratios with Yuen's interval: a round that was hit by a
pause counts little, and no shape is assumed. `false_alarm` is the chance to accuse an equal
version, `detectable` the smallest ratio that this many rounds would have caught with `power`.
"""

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgewright.errors import InputError
from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import student_quantile

_TRIM = 0.2
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
    kept = len(logs) - 2 * int(_TRIM * len(logs))
    centre, error = _trimmed(logs, kept)
    reach = student_quantile(1 - false_alarm, kept - 1) * error
    detectable = math.exp(reach + student_quantile(power, kept - 1) * error)
    interval = Interval(
        math.exp(centre), math.exp(centre - reach), math.exp(centre + reach), 1 - 2 * false_alarm
    )
    judgement: Judgement = "unclear"
    if centre > reach:
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


def _trimmed(values: NDArray[np.float64], kept: int) -> tuple[float, float]:
    """The trimmed mean and its standard error (from the winsorised variance)."""
    ordered = np.sort(values)
    cut = (len(values) - kept) // 2
    middle = ordered[cut : cut + kept]
    winsorised = np.clip(ordered, middle[0], middle[-1])
    deviation = math.sqrt(float(winsorised.var()) * len(values) / (kept * (kept - 1)))
    return float(middle.mean()), deviation
