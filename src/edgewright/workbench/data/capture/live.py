"""What is wrong with a recording while it is being made. Pure: arrivals in, a status out.

>>> check = LiveCheck(SourceMapping(), expected_hz=50.0)
>>> for n in range(100):
...     check.add(n / 25, {})
>>> check.status().rate_hz, check.warnings()
(25.0, ('25 samples a second arrive, expected 50',))
"""

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from edgewright.steps.units import canonical
from edgewright.workbench.data.mapping import SourceMapping

_RATE_TOLERANCE = 0.1
_GRAVITY_TOLERANCE = 0.15
_RESTING_STD_G = 0.05
_LAST = 256
_ENOUGH = 25


class CaptureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The recording so far. `gravity_g` is the size of the first accelerometer in its last calm
    moment, None before there is one.
    """

    samples: int
    seconds: float
    rate_hz: float
    gaps: int
    longest_gap_s: float
    bad: int
    gravity_g: float | None


class LiveCheck:
    """Counts samples, holes and values that are no numbers, and weighs the accelerometer."""

    def __init__(self, mapping: SourceMapping, *, expected_hz: float | None = None) -> None:
        self._mapping = mapping
        self._expected_hz = expected_hz
        self._acc = [
            (each.column, canonical(each.unit)[1])
            for each in mapping.channels
            if canonical(each.unit)[0] == "g"
        ][:3]
        self._times: list[float] = []
        self._norms: list[float] = []
        self._first_s = math.nan
        self._last_s = math.nan
        self._samples = self._gaps = self._bad = 0
        self._longest_gap_s = 0.0
        self._gravity_g: float | None = None

    def add(self, arrival_s: float, row: Mapping[str, float | str]) -> None:
        """One sample; `row` has the columns that the mapping names."""
        if self._samples:
            gap_s = arrival_s - self._last_s
            self._longest_gap_s = max(self._longest_gap_s, gap_s)
            self._gaps += gap_s > self._mapping.max_gap_s
        else:
            self._first_s = arrival_s
        self._samples += 1
        self._last_s = arrival_s
        values = [_number(row.get(each.column, "")) for each in self._mapping.channels]
        self._bad += not all(map(math.isfinite, values))
        self._weigh(row)

    def status(self) -> CaptureStatus:
        """The numbers so far."""
        seconds = self._last_s - self._first_s if self._samples > 1 else 0.0
        return CaptureStatus(
            samples=self._samples,
            seconds=seconds,
            rate_hz=round((self._samples - 1) / seconds, 3) if seconds > 0 else 0.0,
            gaps=self._gaps,
            longest_gap_s=round(self._longest_gap_s, 4),
            bad=self._bad,
            gravity_g=self._gravity_g,
        )

    def warnings(self) -> tuple[str, ...]:
        """What a person should mend now rather than find out later."""
        now = self.status()
        said = []
        expected = self._expected_hz or now.rate_hz
        is_off = abs(now.rate_hz - expected) > _RATE_TOLERANCE * expected
        if is_off and now.samples >= _ENOUGH:
            said.append(f"{now.rate_hz:.4g} samples a second arrive, expected {expected:g}")
        if now.gaps:
            said.append(f"{now.gaps} holes, the longest {now.longest_gap_s:.2f} s")
        if now.bad:
            said.append(f"{now.bad} samples have a value that is no number")
        if now.gravity_g is not None and abs(now.gravity_g - 1.0) > _GRAVITY_TOLERANCE:
            said.append(f"reads {now.gravity_g:.3g} g at rest, expected 1; is the unit right?")
        return tuple(said)

    def _weigh(self, row: Mapping[str, float | str]) -> None:
        if len(self._acc) < 3:
            return
        axes = [_number(row.get(column, "")) * factor for column, factor in self._acc]
        self._norms = [*self._norms[-_LAST:], math.hypot(*axes)]
        last = np.array(self._norms[-_ENOUGH:])
        if len(last) == _ENOUGH and last.std() < _RESTING_STD_G * max(float(last.mean()), 1.0):
            self._gravity_g = round(float(last.mean()), 4)


def _number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan
