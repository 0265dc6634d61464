"""Synchrony: how two signals move together, and which of them comes first. Pure.

>>> t = np.arange(400) / 50
>>> found = lagged_correlation(np.sin(3 * t), np.sin(3 * (t - 0.2)), most_lag=50)
>>> found.lag, round(found.coefficient, 3)
(10, 1.0)
"""

import msgspec
import numpy as np

from edgewright.device.serve.ports import Array

LEAST_SAMPLES = 100


class LaggedCorrelation(msgspec.Struct, frozen=True, kw_only=True):
    """Pearson's coefficient where its size is largest. A positive `lag` says that the second signal
    follows the first by so many samples; `samples` is the overlap it was measured on.
    """

    coefficient: float
    lag: int
    samples: int


def lagged_correlation(first: Array, second: Array, *, most_lag: int) -> LaggedCorrelation | None:
    """The correlation of two even signals of one length over lags up to `most_lag` either way;
    None when they are too short, or one of them does not move.
    """
    length = min(len(first), len(second))
    most_lag = min(most_lag, length // 4)
    if length < LEAST_SAMPLES:
        return None
    best: LaggedCorrelation | None = None
    for lag in range(-most_lag, most_lag + 1):
        early = first[max(-lag, 0) : length - max(lag, 0)]
        late = second[max(lag, 0) : length - max(-lag, 0)]
        coefficient = _pearson(early, late)
        if coefficient is None:
            continue
        if best is None or abs(coefficient) > abs(best.coefficient):
            best = LaggedCorrelation(coefficient=coefficient, lag=lag, samples=len(early))
    return best


def _pearson(first: Array, second: Array) -> float | None:
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    least = 1e-12 * len(first)
    if (first @ first) < least or (second @ second) < least:
        return None
    return max(-1.0, min(1.0, float(first @ second) / size))
