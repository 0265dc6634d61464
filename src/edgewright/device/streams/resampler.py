"""Samples with jittery timestamps to an even rate, while they arrive.

Cut into any chunks, a recording gives what `edgewright.steps.resample_at` gives for the whole: the
same grid, the same interpolation, the same cuts at gaps and where the clock steps back.
"""

import itertools
import math

import msgspec
import numpy as np

from edgewright.device.streams.base import Array, Samples

_TICK = 1e-9
"""Share of a sample by which a grid time may miss a measured one and still count as on it."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Even samples; `is_new` when they do not continue the stretch before."""

    is_new: bool
    start_s: float
    samples: Array


class Counts(msgspec.Struct, kw_only=True):
    """What happened to the samples so far."""

    samples: int = 0
    not_finite: int = 0
    repeated: int = 0
    gaps: int = 0
    steps_back: int = 0


class Resampler:
    """Keeps one sample and the place on the grid; memory does not grow with the stream."""

    def __init__(self, *, rate_hz: float, max_gap_s: float) -> None:
        self._rate_hz = rate_hz
        self._max_gap_s = max_gap_s
        self._last: Samples | None = None
        self._start_s = 0.0
        self._given = 0
        self.counts = Counts()

    def push(self, arrived: Samples) -> list[Stretch]:
        """The even samples that are certain now."""
        times, values = self._usable(arrived)
        if not len(times):
            return []
        if self._last is not None:
            times = np.concatenate([self._last.time_s, times])
            values = np.concatenate([self._last.values, values])
        steps_s = np.diff(times)
        self.counts.gaps += int((steps_s > self._max_gap_s).sum())
        self.counts.steps_back += int((steps_s < 0).sum())
        cuts = np.flatnonzero((steps_s > self._max_gap_s) | (steps_s < 0)) + 1
        bounds = [0, *cuts.tolist(), len(times)]
        stretches = [
            self._stretch(
                times[start:stop], values[start:stop], is_new=start > 0 or self._last is None
            )
            for start, stop in itertools.pairwise(bounds)
        ]
        return [stretch for stretch in stretches if len(stretch.samples)]

    def _usable(self, arrived: Samples) -> tuple[Array, Array]:
        """A sample without a number or a time was not measured; the gap rule decides what its
        absence means.
        """
        times = np.asarray(arrived.time_s, np.float64)
        is_finite = np.isfinite(times) & np.isfinite(arrived.values).all(axis=1)
        self.counts.samples += len(times)
        self.counts.not_finite += int((~is_finite).sum())
        return times[is_finite], np.asarray(arrived.values, np.float64)[is_finite]

    def _stretch(self, times: Array, values: Array, *, is_new: bool) -> Stretch:
        if is_new:
            self._start_s, self._given = float(times[0]), 0
        kept = np.append(True, np.diff(times) > 0)
        self.counts.repeated += int((~kept).sum())
        times, values = times[kept], values[kept]
        known = math.floor((float(times[-1]) - self._start_s) * self._rate_hz + _TICK) + 1
        wanted_s = np.arange(self._given, known) / self._rate_hz
        measured_s = times - self._start_s
        samples = np.stack(
            [np.interp(wanted_s, measured_s, channel) for channel in values.T], axis=1
        )
        start_s = self._start_s + self._given / self._rate_hz
        self._given = max(known, self._given)
        self._last = Samples(time_s=times[-1:], values=values[-1:])
        return Stretch(is_new=is_new, start_s=start_s, samples=samples)
