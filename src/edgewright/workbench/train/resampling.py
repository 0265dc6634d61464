"""Intervals when groups (people, images) are drawn again with replacement. Pure."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
LEVEL = 0.95
_BLOCK = 64

_Floats = NDArray[np.float64]


def interval_over_groups(
    sums: _Floats, statistic: Callable[[_Floats], _Floats], *, none: tuple[float, float]
) -> tuple[float, float]:
    """The 95 % bootstrap interval of a statistic of summed group rows [groups, k]; `none` where
    there are fewer than two groups, which say nothing of others.

    `statistic` takes the sums of many draws [draws, k] and gives one figure for each.
    """
    if len(sums) < 2:
        return none
    rng = np.random.default_rng(0)
    found = []
    for first in range(0, DRAWS, _BLOCK):
        draws = min(_BLOCK, DRAWS - first)
        counts = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
        found.append(statistic(counts @ sums))
    low, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high
