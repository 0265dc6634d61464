"""Timestamps as sensors really write them, to recordings at one even rate. Pure.

Jitter is interpolated away (`edgewright.steps`, the same code as on the device); a hole longer than
`max_gap_s` or a clock that runs backwards ends a stretch, so that no sample is invented.

    >>> time_s = np.array([0.0, 0.02, 0.04, 5.0, 5.02])
    >>> [(s.start, s.stop) for s in stretches(time_s, max_gap_s=0.25)]
    [(0, 3), (3, 5)]
"""

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.steps import resample, resample_at
from edgewright.workbench.data.recordings import Dataset, Recording

Times = NDArray[np.float64]

CLOCK_BACKWARDS = "ran backwards (split there)"
CLOCK_HOLE = "had a hole over"
CLOCK_STILL = "stood still (the first sample counts)"
"""What a note says of a clock; the rest of the sentence is the recording."""

_MOST_BETWEEN = 100
"""How many times the measured rate a dataset may be brought to."""

_EVEN_SHARE = 0.01
"""Share of a period by which every sample may miss its time in a clock that is left as it is."""


def stretches(time_s: Times, *, max_gap_s: float) -> list[slice]:
    """The unbroken parts of a recording's clock."""
    step_s = np.diff(time_s)
    breaks = np.flatnonzero((step_s < 0) | (step_s > max_gap_s)) + 1
    return [slice(a, b) for a, b in itertools.pairwise([0, *breaks.tolist(), len(time_s)])]


def median_rate_hz(step_s: Times, *, source: str) -> float:
    """The rate that a clock keeps most of the time, to four digits, from its steps.

    Raises:
        InputError: the clock does not move forward.
    """
    forward = step_s[step_s > 0]
    if not len(forward):
        raise InputError(
            f"{source}: the time column never moves forward", hint="check the column and its unit"
        )
    return float(f"{1.0 / float(np.median(forward)):.4g}")


def even_recordings(
    recording: Recording, time_s: Times, *, max_gap_s: float
) -> tuple[list[Recording], list[str]]:
    """The unbroken stretches of a recording, each at its even rate, and what was found on the
    way.
    """
    slices = stretches(time_s, max_gap_s=max_gap_s)
    parts = []
    for index, part in enumerate(slices):
        name = recording.name if len(slices) == 1 else f"{recording.name}#{index}"
        cut = replace(
            recording, samples=recording.samples[part], label=recording.label[part], name=name
        )
        parts.append(_even(cut, time_s[part]))
    return parts, _notes(recording.name, np.diff(time_s), max_gap_s)


def _even(recording: Recording, time_s: Times) -> Recording:
    on_time_s = time_s[0] + np.arange(len(time_s)) / recording.rate_hz
    if np.abs(time_s - on_time_s).max() * recording.rate_hz < _EVEN_SHARE:
        return recording
    (segment,) = resample_at(
        recording.samples, time_s, rate_hz=recording.rate_hz, max_gap_s=float("inf")
    )
    grid_s = time_s[0] + np.arange(len(segment.samples)) / recording.rate_hz
    return replace(
        recording, samples=segment.samples, label=recording.label[_nearest(time_s, grid_s)]
    )


def _nearest(time_s: Times, grid_s: Times) -> NDArray[np.intp]:
    right = np.clip(np.searchsorted(time_s, grid_s), 1, max(len(time_s) - 1, 1))
    right = np.minimum(right, len(time_s) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(grid_s - time_s[left] < time_s[right] - grid_s, left, right)


def _notes(name: str, step_s: Times, max_gap_s: float) -> list[str]:
    counted = {
        CLOCK_BACKWARDS: int((step_s < 0).sum()),
        f"{CLOCK_HOLE} {max_gap_s:g} s (split there)": int((step_s > max_gap_s).sum()),
        CLOCK_STILL: int((step_s == 0).sum()),
    }
    return [
        f"recording {name}: the clock {what}, {times} time{'s' if times > 1 else ''}"
        for what, times in counted.items()
        if times
    ]


def at_rate(dataset: Dataset, rate_hz: float) -> Dataset:
    """The dataset at another even rate: samples linear between neighbours, labels the nearest.

    Raises:
        InputError: no rate, or one that would only repeat what was measured.
    """
    if dataset.rate_hz == rate_hz:
        return dataset
    if not 0 < rate_hz <= dataset.rate_hz * _MOST_BETWEEN:
        raise InputError(
            f"{dataset.source}: a rate of {rate_hz:g} Hz, expected above 0 and at most "
            f"{_MOST_BETWEEN} times its own {dataset.rate_hz:g} Hz",
            hint="samples between two measured ones say nothing new",
        )
    recordings = []
    for each in dataset.recordings:
        samples = resample(each.samples, from_hz=each.rate_hz, to_hz=rate_hz)
        nearest = np.rint(np.arange(len(samples)) * (each.rate_hz / rate_hz)).astype(np.intp)
        label = each.label[np.minimum(nearest, len(each) - 1)]
        recordings.append(replace(each, samples=samples, label=label, rate_hz=rate_hz))
    return replace(dataset, recordings=tuple(recordings), rate_hz=rate_hz)
