"""The rules behind `data check`. Pure: a dataset in, findings out; nothing is repaired here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.workbench.data.recordings import UNLABELLED, Dataset, Recording
from edgewright.workbench.data.report import Balance, ChannelSummary, DataReport, Finding
from edgewright.workbench.data.units import STANDARD_GRAVITY

_FLAT_S = 1.0
_CLIPPED_SHARE = 1e-3
_OUTLIER_SIGMAS = 12.0
_HUGE = 1e6
_FEW_PEOPLE = 3
_RARE_SHARE = 0.02
_RESTING_STD_G = 0.05
_GRAVITY_TOLERANCE = 0.15
_FASTEST_TURN_RAD_S = 35.0
_RESTING_TURN_RAD_S = 0.35

_Bools = NDArray[np.bool_]


def check_dataset(dataset: Dataset) -> DataReport:
    """Gaps, holes, flat lines, clipping, outliers, copies, balance and suspicious units."""
    findings: list[Finding] = [
        Finding(code="import", severity="info", message=note) for note in dataset.notes
    ]
    for recording in dataset.recordings:
        findings += _check_recording(recording, dataset)
    findings += _check_copies(dataset)
    findings += _check_units(dataset)
    findings += _check_balance(dataset)
    return DataReport(
        content_hash=dataset.content_hash,
        source=dataset.source,
        recordings=len(dataset.recordings),
        samples=dataset.sample_count,
        seconds=dataset.sample_count / dataset.rate_hz,
        rate_hz=dataset.rate_hz,
        channels=tuple(_summaries(dataset)),
        classes=tuple(class_balance(dataset)),
        subjects=tuple(subject_balance(dataset)),
        findings=tuple(findings),
    )


def class_balance(dataset: Dataset) -> Iterator[Balance]:
    """Seconds of each label."""
    labels = [r.label[r.label != UNLABELLED] for r in dataset.recordings]
    total = max(sum(len(part) for part in labels), 1)
    for position, name in enumerate(dataset.label_names):
        counts = [int((part == position).sum()) for part in labels]
        yield Balance(
            name=name,
            seconds=sum(counts) / dataset.rate_hz,
            share=sum(counts) / total,
            recordings=sum(count > 0 for count in counts),
        )


def subject_balance(dataset: Dataset) -> Iterator[Balance]:
    """Seconds of each person, labelled or not."""
    for who in dataset.subjects:
        mine = [r for r in dataset.recordings if r.subject == who]
        samples = sum(len(r) for r in mine)
        yield Balance(
            name=who,
            seconds=samples / dataset.rate_hz,
            share=samples / max(dataset.sample_count, 1),
            recordings=len(mine),
        )


def _check_recording(recording: Recording, dataset: Dataset) -> Iterator[Finding]:
    if recording.seconds < 1.0:
        yield Finding(
            code="short",
            severity="warning",
            message=f"recording {recording.name} has {len(recording)} samples, under one second",
            recording=recording.name,
            count=len(recording),
        )
    absent: _Bools = np.logical_not(np.isfinite(recording.samples).any(axis=0))
    is_partial = 0 < absent.sum() < len(absent)
    for position, channel in enumerate(dataset.channels):
        if is_partial and absent[position]:
            yield Finding(
                code="absent",
                severity="info",
                message=f"recording {recording.name} was made without {channel.name}",
                recording=recording.name,
                channel=channel.name,
                count=len(recording),
            )
            continue
        for finding in _check_channel(recording.samples[:, position], recording.rate_hz):
            yield Finding(
                code=finding.code,
                severity="error" if finding.code in _ERRORS else "warning",
                message=f"recording {recording.name}, {channel.name}: {finding.text}",
                recording=recording.name,
                channel=channel.name,
                count=finding.count,
            )


_ERRORS = {"not-finite", "huge"}


@dataclass(frozen=True)
class _Found:
    code: str
    count: int
    text: str


def _check_channel(values: NDArray[np.float32], rate_hz: float) -> Iterator[_Found]:
    finite = np.isfinite(values)
    if not finite.all():
        bad = int((~finite).sum())
        longest = _longest_run(~finite)
        yield _Found(
            "not-finite",
            bad,
            f"{bad} samples are NaN or infinite, {longest / rate_hz:.2f} s at most in one piece",
        )
    known = values[finite].astype(np.float64)
    if len(known) < 2:
        return
    huge = int((np.abs(known) > _HUGE).sum())
    if huge:
        yield _Found("huge", huge, f"{huge} samples are beyond {_HUGE:g}; no sensor reads that")
        known = known[np.abs(known) <= _HUGE]
    flat = _longest_run(np.diff(values) == 0) + 1
    if flat > _FLAT_S * rate_hz:
        yield _Found("flat", flat, f"stands still for {flat / rate_hz:.2f} s; a stuck sensor?")
    else:
        yield from _check_clipping(known)
    yield from _check_outliers(known)


def _check_clipping(values: NDArray[np.float64]) -> Iterator[_Found]:
    """Several samples in a row on the very extreme are a full scale that was reached."""
    if not len(values):
        return
    for edge in (values.min(), values.max()):
        at_edge = values == edge
        clipped = int((at_edge[1:] & at_edge[:-1]).sum())
        if clipped > max(2, _CLIPPED_SHARE * len(values)):
            yield _Found("clipped", clipped, f"{clipped} samples in a row lie on {edge:g}")


def _check_outliers(values: NDArray[np.float64]) -> Iterator[_Found]:
    if not len(values):
        return
    middle = np.median(values)
    spread = max(1.4826 * float(np.median(np.abs(values - middle))), float(values.std()))
    if spread <= 0:
        return
    far = int((np.abs(values - middle) > _OUTLIER_SIGMAS * spread).sum())
    if far:
        yield _Found(
            "outlier", far, f"{far} samples are over {_OUTLIER_SIGMAS:g} spreads from the median"
        )


def _longest_run(flags: _Bools) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _check_copies(dataset: Dataset) -> Iterator[Finding]:
    seen: dict[bytes, str] = {}
    for recording in dataset.recordings:
        content = np.ascontiguousarray(recording.samples).tobytes()
        first = seen.setdefault(content, recording.name)
        if first != recording.name:
            yield Finding(
                code="copy",
                severity="error",
                message=f"recordings {first} and {recording.name} hold the same samples",
                recording=recording.name,
                count=len(recording),
            )


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


def _check_units(dataset: Dataset) -> Iterator[Finding]:
    for stem, axes in triads(dataset.channels).items():
        unit = dataset.channels[axes[0]].unit
        norms = [
            np.linalg.norm(r.samples[:, axes].astype(np.float64), axis=1)
            for r in dataset.recordings
        ]
        if unit == "g":
            yield from _check_gravity(stem, norms, int(dataset.rate_hz))
        elif unit == "rad/s":
            yield from _check_turning(stem, np.concatenate(norms))


def _check_gravity(stem: str, norms: list[NDArray[np.float64]], second: int) -> Iterator[Finding]:
    """A resting accelerometer reads one g: the median over the calm seconds must say so."""
    seconds = [n[: len(n) // second * second].reshape(-1, second) for n in norms if second > 1]
    calm = [
        block.mean(axis=1)[block.std(axis=1) < _RESTING_STD_G * np.maximum(block.mean(axis=1), 1)]
        for block in seconds
    ]
    resting = np.concatenate(calm) if calm else np.zeros(0)
    resting = resting[np.isfinite(resting)]
    level = float(np.median(resting)) if len(resting) else float("nan")
    if np.isnan(level):
        yield Finding(
            code="gravity",
            severity="info",
            message=f"{stem}: no calm second to check gravity on",
            channel=stem,
        )
    elif abs(level - 1.0) > _GRAVITY_TOLERANCE:
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


def _check_turning(stem: str, norm: NDArray[np.float64]) -> Iterator[Finding]:
    """Degrees taken for radians turn faster than anybody can."""
    known = norm[np.isfinite(norm) & (norm < _HUGE)]
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


def _check_balance(dataset: Dataset) -> Iterator[Finding]:
    present = [each for each in class_balance(dataset) if each.seconds > 0]
    if len(present) < 2:
        names = [each.name for each in present] or "none"
        yield Finding(
            code="classes",
            severity="error",
            message=f"labelled classes: {names}; a classifier needs two or more",
            count=len(present),
        )
    for each in class_balance(dataset):
        if each.share < _RARE_SHARE:
            yield Finding(
                code="rare-class",
                severity="warning",
                message=f"class {each.name} has {each.share:.1%} of the labelled time",
            )
    people = len(dataset.subjects)
    if people < _FEW_PEOPLE:
        yield Finding(
            code="subjects",
            severity="error" if people < 2 else "warning",
            message=f"{people} subjects; an honest test needs people who were not trained on",
            count=people,
        )


def _summaries(dataset: Dataset) -> Iterator[ChannelSummary]:
    for position, channel in enumerate(dataset.channels):
        values = np.concatenate([r.samples[:, position] for r in dataset.recordings])
        known = values[np.isfinite(values)].astype(np.float64)
        known = known if len(known) else np.zeros(1)
        low, q01, median, q99, high = np.quantile(known, [0, 0.01, 0.5, 0.99, 1]).tolist()
        yield ChannelSummary(
            name=channel.name,
            unit=channel.unit,
            low=low,
            q01=q01,
            median=median,
            q99=q99,
            high=high,
            std=float(known.std()),
        )
