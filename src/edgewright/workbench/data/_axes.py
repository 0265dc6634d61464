"""What the sensors of a body say of each other: gravity, turning, and axes that fit together. Pure.

A resting accelerometer reads one g. Of a body that turns slowly the gravity it feels turns the
other way: d(acc)/dt = -gyro x acc. Sensors whose axes are swapped or mirrored against each other
break that, and a signed swap of the gyroscope's axes mends it; that swap is what is reported.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.steps.units import STANDARD_GRAVITY
from edgewright.workbench.data._signals import HUGE
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.report import Finding

_RESTING_STD_G = 0.05
_GRAVITY_TOLERANCE = 0.15
_FASTEST_TURN_RAD_S = 35.0
_RESTING_TURN_RAD_S = 0.35
_SAMPLED = 200_000
_CHUNK = 2**18

_SMOOTHED_S = 0.3
_TURNS_RAD_S = 0.2
_ENOUGH_SAMPLES = 200
_AGREES = 0.2
_AGREES_BETTER = 0.1

_WORN_ALIKE_DEG = 30.0
_WORN_OTHERWISE_DEG = 60.0
_FEW_PEOPLE = 3

_SENSORS = ("acc", "gyr", "mag")

_Floats = NDArray[np.float64]


def triads(channels: tuple[Channel, ...]) -> dict[str, list[int]]:
    """Sensors of three axes: the name before `_x _y _z`, and where its axes stand."""
    names = [channel.name for channel in channels]
    found = {}
    for name in names:
        stem = name.removesuffix("_x")
        axes = [f"{stem}_{axis}" for axis in "xyz"]
        if stem != name and all(axis in names for axis in axes):
            found[stem] = [names.index(axis) for axis in axes]
    return found


def check_axes(dataset: Dataset) -> Iterator[Finding]:
    """Gravity and turning in their units, axes that belong together, sensors worn alike."""
    units = {stem: dataset.channels[at[0]].unit for stem, at in triads(dataset.channels).items()}
    for stem, axes in triads(dataset.channels).items():
        if units[stem] == "g":
            yield from _check_gravity(stem, resting_levels(dataset, axes))
            yield from _check_orientation(dataset, stem, axes)
        elif units[stem] == "rad/s":
            yield from _check_turning(stem, _sampled_norms(dataset, axes))
        elif not units[stem] and stem.lower().startswith(_SENSORS):
            yield _without_unit(stem, resting_levels(dataset, axes))
    yield from _check_agreement(dataset, units)


def _without_unit(stem: str, resting: _Floats) -> Finding:
    """A sensor whose unit nobody said is checked by nothing, and served without a range."""
    seen = f"; it reads {float(np.median(resting)):.3g} at rest" if len(resting) else ""
    return Finding(
        code="unit",
        severity="warning",
        message=f"{stem}: no unit is mapped, so neither gravity nor ranges are checked{seen}; say "
        'unit = "g", "m/s2", "rad/s", "deg/s" or "uT" in the mapping',
        channel=stem,
    )


def resting_levels(dataset: Dataset, axes: list[int]) -> _Floats:
    """The mean size of every calm second."""
    second = int(dataset.rate_hz)
    levels = [np.zeros(0)]
    for each in dataset.recordings if second > 1 else ():
        norm = np.linalg.norm(each.samples[:, axes].astype(np.float64), axis=1)
        blocks = norm[: len(norm) // second * second].reshape(-1, second)
        means = blocks.mean(axis=1)
        levels.append(means[blocks.std(axis=1) < _RESTING_STD_G * np.maximum(means, 1)])
    resting = np.concatenate(levels)
    return resting[np.isfinite(resting)]


def _sampled_norms(dataset: Dataset, axes: list[int]) -> _Floats:
    """Enough of the samples to know their size by."""
    step = max(dataset.sample_count // _SAMPLED, 1)
    return np.concatenate(
        [
            np.linalg.norm(each.samples[::step][:, axes].astype(np.float64), axis=1)
            for each in dataset.recordings
        ]
    )


def _check_gravity(stem: str, resting: _Floats) -> Iterator[Finding]:
    """The median over the calm seconds must be one g."""
    if not len(resting):
        yield Finding(
            code="gravity",
            severity="info",
            message=f"{stem}: no calm second to check gravity on",
            channel=stem,
        )
        return
    level = float(np.median(resting))
    if abs(level - 1.0) > _GRAVITY_TOLERANCE:
        yield Finding(
            code="gravity",
            severity="error",
            message=f"{stem}: reads {level:.3g} g at rest, expected 1; {_gravity_guess(level)}",
            channel=stem,
            count=len(resting),
        )


def _gravity_guess(level: float) -> str:
    guesses = {
        "the file is in m/s2, map the unit": STANDARD_GRAVITY,
        "the file is in g, not in m/s2, map the unit": 1.0 / STANDARD_GRAVITY,
        "the file is in mg, map the unit": 1000.0,
        "gravity was taken out of it": 0.0,
    }
    for guess, expected in guesses.items():
        if abs(level - expected) <= _GRAVITY_TOLERANCE * max(expected, 0.2):
            return guess
    return "an axis is missing, swapped with another sensor, or scaled"


def _check_turning(stem: str, norm: _Floats) -> Iterator[Finding]:
    """Degrees taken for radians turn faster than anybody can."""
    known = norm[np.isfinite(norm) & (norm < HUGE)]
    if not len(known):
        return
    fast, calm = float(np.quantile(known, 0.999)), float(np.quantile(known, 0.05))
    if fast > _FASTEST_TURN_RAD_S:
        yield Finding(
            code="turning",
            severity="error",
            message=f"{stem}: turns at {fast:.3g} rad/s; the file is in deg/s, map the unit",
            channel=stem,
        )
    elif calm > _RESTING_TURN_RAD_S and fast < 3 * calm:
        yield Finding(
            code="turning",
            severity="warning",
            message=f"{stem}: never rests below {calm:.3g} rad/s; is it another sensor's axes?",
            channel=stem,
        )


@dataclass
class _Moments:
    """Sums over slowly turning samples of d (change of gravity), w (turning) and a (gravity), from
    which the agreement of every swap of axes follows.
    """

    count: int = 0
    dd: float = 0.0
    ww_aa: float = 0.0
    dwa: _Floats = field(default_factory=lambda: np.zeros((3, 3, 3)))
    wwaa: _Floats = field(default_factory=lambda: np.zeros((3, 3, 3, 3)))

    def add(self, acc: _Floats, gyro: _Floats, rate_hz: float) -> None:
        width = max(round(_SMOOTHED_S * rate_hz), 1)
        if len(acc) < width + 3:
            return
        smooth, turn = _smoothed(acc, width), _smoothed(gyro, width)
        change = (smooth[2:] - smooth[:-2]) * (rate_hz / 2)
        smooth, turn = smooth[1:-1], turn[1:-1]
        size = np.linalg.norm(turn, axis=1)
        is_near_one_g = np.abs(np.linalg.norm(smooth, axis=1) - 1.0) < _GRAVITY_TOLERANCE
        chosen = is_near_one_g & (size > _TURNS_RAD_S) & (size < _FASTEST_TURN_RAD_S)
        d, w, a = change[chosen], turn[chosen], smooth[chosen]
        outer_w = (w[:, :, None] * w[:, None, :]).reshape(len(w), 9)
        outer_a = (a[:, :, None] * a[:, None, :]).reshape(len(a), 9)
        self.count += len(d)
        self.dd += float((d * d).sum())
        self.ww_aa += float(((w * w).sum(axis=1) * (a * a).sum(axis=1)).sum())
        self.dwa += np.einsum("ni,nj,nk->ijk", d, w, a)
        self.wwaa += (outer_w.T @ outer_a).reshape(3, 3, 3, 3)

    def agreement(self, swap: _Floats) -> float:
        """The correlation of d with -(swapped w) x a, -1 to 1."""
        turned = np.einsum("jl,ilk->ijk", swap, self.dwa)
        fits = -float((_LEVI_CIVITA * turned).sum())
        along = float(np.einsum("jl,km,lmjk->", swap, swap, self.wwaa))
        return fits / max(math.sqrt(self.dd * max(self.ww_aa - along, 0.0)), 1e-12)


_LEVI_CIVITA = np.zeros((3, 3, 3))
for _i, _j, _k in itertools.permutations(range(3)):
    _LEVI_CIVITA[_i, _j, _k] = np.linalg.det(np.eye(3)[[_i, _j, _k]])


def _swaps() -> Iterator[tuple[str, _Floats]]:
    """All 48 ways to name and point three axes, the usual one first."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            swap = np.zeros((3, 3))
            swap[range(3), order] = signs
            names = zip(signs, order, strict=True)
            yield " ".join(f"{'-' if sign < 0 else ''}{'xyz'[at]}" for sign, at in names), swap


def _smoothed(values: _Floats, width: int) -> _Floats:
    sums = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    return np.asarray((sums[width:] - sums[:-width]) / width)


def _check_agreement(dataset: Dataset, units: dict[str, str]) -> Iterator[Finding]:
    axes = triads(dataset.channels)
    acc = next((stem for stem, unit in units.items() if unit == "g"), None)
    gyro = next((stem for stem, unit in units.items() if unit == "rad/s"), None)
    if acc is None or gyro is None:
        return
    columns = axes[acc] + axes[gyro]
    for who, mine in dataset.by_subject.items():
        moments = _Moments()
        for each in mine:
            for start in range(0, len(each), _CHUNK):
                part = each.samples[start : start + _CHUNK, columns].astype(np.float64)
                part = part[(np.abs(part) < HUGE).all(axis=1)]
                moments.add(part[:, :3], part[:, 3:], dataset.rate_hz)
        if moments.count < _ENOUGH_SAMPLES:
            continue
        scores = {name: moments.agreement(swap) for name, swap in _swaps()}
        best = max(scores, key=scores.__getitem__)
        usual = scores["x y z"]
        if scores[best] > _AGREES and scores[best] > usual + _AGREES_BETTER:
            yield Finding(
                code="axes",
                severity="warning",
                message=f"subject {who}: {gyro} and {acc} do not turn alike (agreement "
                f"{usual:.2f}); with {gyro} as ({best}) they would ({scores[best]:.2f}); swapped "
                "or mirrored axes?",
                channel=gyro,
                count=moments.count,
            )


def _check_orientation(dataset: Dataset, stem: str, axes: list[int]) -> Iterator[Finding]:
    """One person whose gravity points elsewhere than everybody's: other axes, or worn otherwise."""
    if len(dataset.subjects) < _FEW_PEOPLE:
        return
    ways = {who: _gravity_of(dataset, who, axes) for who in dataset.subjects}
    ways = {who: way for who, way in ways.items() if np.isfinite(way).all()}
    if len(ways) < _FEW_PEOPLE:
        return
    usual = np.median(np.stack(list(ways.values())), axis=0)
    angles = {who: _angle_deg(way, usual) for who, way in ways.items()}
    if float(np.median(list(angles.values()))) > _WORN_ALIKE_DEG:
        return
    for who, angle in angles.items():
        if angle > _WORN_OTHERWISE_DEG:
            best = min(_swaps(), key=lambda swap: round(_angle_deg(swap[1] @ ways[who], usual)))
            yield Finding(
                code="orientation",
                severity="warning",
                message=f"subject {who}: gravity on {stem} lies {angle:.0f} degrees from the "
                f"others'; with axes ({best[0]}) it would not; swapped axes, or worn otherwise?",
                channel=stem,
            )


def _gravity_of(dataset: Dataset, who: str, axes: list[int]) -> _Floats:
    mine = dataset.by_subject[who]
    step = max(sum(map(len, mine)) // _SAMPLED, 1)
    values = np.concatenate([each.samples[::step][:, axes] for each in mine]).astype(np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return np.full(3, np.nan)
    way = np.median(values, axis=0)
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-12))


def _angle_deg(one: _Floats, other: _Floats) -> float:
    sizes = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(np.clip(one @ other / max(sizes, 1e-12), -1, 1))))
