"""Steps on samples: [time, channels] arrays at an even rate, and the way to get there from uneven
timestamps.

Nothing here invents a sample: values are interpolated between two measured neighbours only, never
beyond the last one and never across a gap. Resampling down does not filter first; a signal with
content above half the new rate has to be filtered by whoever declares the step.
"""

import itertools
import math

import msgspec
import numpy as np

from edgewright.errors import InputError
from edgewright.steps.arrays import Array, as_floats, expect_axis, expect_rank, kept_float

_TICK = 1e-9
"""Share of a sample by which a time may miss the last one and still count as on it."""


class Segment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Even samples without a gap; the first one was taken at `start_s`."""

    start_s: float
    samples: Array


def resample(samples: Array, *, from_hz: float, to_hz: float) -> Array:
    """Samples at another even rate, from the first one to the last that is not beyond the end.

    >>> resample(np.array([[0.0], [1.0], [2.0]]), from_hz=1.0, to_hz=2.0).ravel().tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    expect_rank(samples, "time channels")
    if len(samples) < 2 or from_hz == to_hz:
        return kept_float(as_floats(samples), samples)
    count = math.floor((len(samples) - 1) * to_hz / from_hz + _TICK) + 1
    return _between(samples, np.arange(count) * (from_hz / to_hz))


def resample_at(
    samples: Array, time_s: Array, *, rate_hz: float, max_gap_s: float
) -> tuple[Segment, ...]:
    """Samples with jittery timestamps as segments at an even rate.

    A new segment begins after a gap longer than `max_gap_s` and where the clock steps back. Of
    samples with the same timestamp the first counts.

    Raises:
        InputError: as many times as samples are needed, and finite ones.
    """
    expect_rank(samples, "time channels")
    times = np.asarray(time_s, dtype=np.float64)
    if times.shape != (len(samples),):
        raise InputError(
            f"{len(samples)} samples came with times of shape {list(times.shape)}, "
            f"expected [{len(samples)}]"
        )
    if not np.isfinite(times).all():
        row = int(np.flatnonzero(~np.isfinite(times))[0])
        raise InputError(f"time_s[{row}] is {times[row]}, expected a finite number of seconds")
    if not len(times):
        return ()
    steps_s = np.diff(times)
    cuts = np.flatnonzero((steps_s > max_gap_s) | (steps_s < 0)) + 1
    bounds = [0, *cuts.tolist(), len(times)]
    return tuple(
        _segment(samples[start:stop], times[start:stop], rate_hz)
        for start, stop in itertools.pairwise(bounds)
    )


def window(samples: Array, *, length: int, hop: int) -> Array:
    """Windows [rows, length, channels], one every `hop` samples; no rows when there are too few.

    >>> window(np.arange(5.0)[:, None], length=3, hop=2)[:, :, 0].tolist()
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    """
    expect_rank(samples, "time channels")
    if len(samples) < length:
        return np.empty((0, length, samples.shape[1]), samples.dtype)
    views = np.lib.stride_tricks.sliding_window_view(samples, length, axis=0)[::hop]
    return np.ascontiguousarray(views.transpose(0, 2, 1))


def normalise(
    values: Array, *, mean: tuple[float, ...], std: tuple[float, ...], axis: int = -1
) -> Array:
    """(values - mean) / std along an axis; one mean and std hold for all of it.

    >>> normalise(np.array([[1.0, 10.0]]), mean=(0.0, 8.0), std=(1.0, 4.0)).tolist()
    [[1.0, 0.5]]
    """
    at = expect_axis(values, axis)
    if len(mean) not in (1, values.shape[at]):
        raise InputError(
            f"has {values.shape[at]} channels along axis {axis}, expected {len(mean)}",
            hint="normalisation was fitted on other channels",
        )
    floats = as_floats(values)
    shape = [1] * values.ndim
    shape[at] = len(mean)
    centred = floats - np.asarray(mean, floats.dtype).reshape(shape)
    centred /= np.asarray(std, floats.dtype).reshape(shape)
    return kept_float(centred, values)


def _between(samples: Array, positions: Array) -> Array:
    """Values at fractional sample positions, linear between the two neighbours."""
    floats = as_floats(samples)
    last = len(samples) - 1
    positions = np.minimum(positions, last)
    nearest = np.rint(positions)
    positions = np.where(np.abs(positions - nearest) < _TICK * (nearest + 1), nearest, positions)
    left = np.minimum(positions.astype(np.intp), max(last - 1, 0))
    right = np.minimum(left + 1, last)
    share = (positions - left).astype(floats.dtype)[:, None]
    return kept_float(floats[left] * (1 - share) + floats[right] * share, samples)


def _segment(samples: Array, times: Array, rate_hz: float) -> Segment:
    kept = np.append(True, np.diff(times) > 0)
    samples, times = samples[kept], times[kept]
    span_s = float(times[-1] - times[0])
    wanted_s = np.arange(math.floor(span_s * rate_hz + _TICK) + 1) / rate_hz
    positions = np.interp(wanted_s, times - times[0], np.arange(len(times)))
    return Segment(start_s=float(times[0]), samples=_between(samples, positions))
