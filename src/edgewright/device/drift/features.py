"""What a window says about its sensor, in numbers that a fault changes in a known way. Pure.

Per channel: the mean, the logarithm of the spread, and the logarithm of the step from sample to
sample relative to the spread (how fast the signal moves). A gain multiplies the mean and shifts the
second, a bias shifts the mean, a wrong rate shifts the third, a swap exchanges channels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MEAN, SPREAD, PACE = range(3)
"""Positions of the three numbers along the last axis of the features."""

NOISE_SHARE = 0.01
"""Share of a channel's usual spread that counts as its noise floor."""


def window_features(windows: Array, noise: Array) -> Array:
    """Features [rows, channels, 3] of windows [rows, length, channels]; `noise` keeps logarithms
    finite.

    >>> still = np.full((1, 10, 1), 5.0)
    >>> window_features(still, np.array([0.1]))[0, 0].round(2).tolist()
    [5.0, -2.3, 0.0]
    """
    values = np.asarray(windows, np.float64)
    spread = np.log(values.std(axis=1) + noise)
    step = np.log(np.diff(values, axis=1).std(axis=1) + noise)
    return np.stack([values.mean(axis=1), spread, step - spread], axis=2)


def noise_floor(windows: Array) -> Array:
    """The noise floor of each channel, from how far it usually spreads in a window."""
    usual = np.asarray(windows, np.float64).std(axis=1)
    largest = np.maximum(usual.max(axis=0), np.finfo(np.float32).tiny)
    return np.asarray(np.maximum(NOISE_SHARE * usual.mean(axis=0), 1e-6 * largest))


def is_stuck(windows: Array) -> Array:
    """Which channels [rows, channels] say the same number during the whole second half of a window.

    >>> ramp = np.arange(4.0).reshape(1, 4, 1)
    >>> is_stuck(ramp).tolist(), is_stuck(np.minimum(ramp, 2)).tolist()
    ([[False]], [[True]])
    """
    late = windows[:, windows.shape[1] // 2 :]
    return np.asarray((late == late[:, :1]).all(axis=1))
