"""The rules behind `data check`. Pure: a dataset in, findings out; nothing is repaired here."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgewright.workbench.data._axes import check_axes, triads
from edgewright.workbench.data._signals import check_channel
from edgewright.workbench.data.recordings import UNLABELLED, Dataset, Recording
from edgewright.workbench.data.report import Balance, ChannelSummary, DataReport, Finding, Severity
from edgewright.workbench.data.timebase import CLOCK_BACKWARDS, CLOCK_HOLE, CLOCK_STILL

__all__ = ["check_dataset", "class_balance", "subject_balance", "triads"]

_FEW_PEOPLE = 3
_RARE_SHARE = 0.02
_SLOWEST_HZ, _FASTEST_HZ = 10.0, 1000.0
_SUMMARISED = 2_000_000
_ERRORS = {"not-finite", "huge"}
_CLOCK = {CLOCK_HOLE: "gap", CLOCK_BACKWARDS: "clock", CLOCK_STILL: "clock"}


def check_dataset(dataset: Dataset) -> DataReport:
    """Gaps, holes, flat lines, clipping, outliers, copies, balance, suspicious units and axes."""
    findings: list[Finding] = [_noted(note) for note in dataset.notes]
    for recording in dataset.recordings:
        findings += _check_recording(recording, dataset)
    findings += _check_copies(dataset)
    findings += _check_rate(dataset)
    findings += check_axes(dataset)
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
    absent: NDArray[np.bool_] = np.logical_not(np.isfinite(recording.samples).any(axis=0))
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
        for fault in check_channel(recording.samples[:, position], recording.rate_hz):
            yield Finding(
                code=fault.code,
                severity="error" if fault.code in _ERRORS else "warning",
                message=f"recording {recording.name}, {channel.name}: {fault.text}",
                recording=recording.name,
                channel=channel.name,
                count=fault.count,
                start_s=fault.at / recording.rate_hz,
            )


def _noted(note: str) -> Finding:
    """What the reading did to the data; what it did to the clock is worth a warning."""
    code = next((code for text, code in _CLOCK.items() if text in note), "import")
    severity: Severity = "info" if code == "import" else "warning"
    return Finding(code=code, severity=severity, message=note)


def _check_rate(dataset: Dataset) -> Iterator[Finding]:
    if not _SLOWEST_HZ <= dataset.rate_hz <= _FASTEST_HZ:
        yield Finding(
            code="rate",
            severity="warning",
            message=f"{dataset.rate_hz:g} Hz is no usual rate of a motion sensor "
            f"({_SLOWEST_HZ:g} to {_FASTEST_HZ:g}); is the clock's unit right?",
        )


def _check_copies(dataset: Dataset) -> Iterator[Finding]:
    seen: dict[bytes, str] = {}
    for recording in dataset.recordings:
        content = hashlib.sha256(np.ascontiguousarray(recording.samples).data).digest()
        first = seen.setdefault(content, recording.name)
        if first != recording.name:
            yield Finding(
                code="copy",
                severity="error",
                message=f"recordings {first} and {recording.name} hold the same samples",
                recording=recording.name,
                count=len(recording),
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
    yield from _check_lonely_classes(dataset)
    people = len(dataset.subjects)
    if people < _FEW_PEOPLE:
        yield Finding(
            code="subjects",
            severity="error" if people < 2 else "warning",
            message=f"{people} subjects; an honest test needs people who were not trained on",
            count=people,
        )


def _check_lonely_classes(dataset: Dataset) -> Iterator[Finding]:
    """A class of one person is in train or in test, never in both."""
    people: dict[int, set[str]] = {}
    for each in dataset.recordings:
        for label in np.unique(each.label).tolist():
            people.setdefault(label, set()).add(each.subject)
    for position, name in enumerate(dataset.label_names):
        who = people.get(position, set())
        if len(who) == 1 < len(dataset.subjects):
            yield Finding(
                code="lonely-class",
                severity="warning",
                message=f"class {name} is only subject {min(who)}'s; it cannot be both learnt and "
                "tested on other people",
            )


def _summaries(dataset: Dataset) -> Iterator[ChannelSummary]:
    step = max(dataset.sample_count // _SUMMARISED, 1)
    for position, channel in enumerate(dataset.channels):
        values = np.concatenate([r.samples[::step, position] for r in dataset.recordings])
        known = values[np.isfinite(values)].astype(np.float64)
        known = known if len(known) else np.zeros(1)
        ends = [_ends(r.samples[:, position]) for r in dataset.recordings]
        low = min((low for low, _ in ends if np.isfinite(low)), default=0.0)
        high = max((high for _, high in ends if np.isfinite(high)), default=0.0)
        q01, median, q99 = np.quantile(known, [0.01, 0.5, 0.99]).tolist()
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


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    finite = np.isfinite(values)
    low = float(np.min(values, initial=np.inf, where=finite))
    return low, float(np.max(values, initial=-np.inf, where=finite))
