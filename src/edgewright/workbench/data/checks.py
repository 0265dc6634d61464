"""The rules behind `data check`. Pure: a dataset in, findings out; nothing is repaired here."""

import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgewright.workbench.data._axes import check_axes, triads
from edgewright.workbench.data._signals import check_channel
from edgewright.workbench.data.recordings import UNLABELLED, Dataset, Recording
from edgewright.workbench.data.report import Balance, ChannelSummary, DataReport, Finding, Severity
from edgewright.workbench.data.timebase import CLOCK_BACKWARDS, CLOCK_HOLE, CLOCK_STILL

__all__ = ["check_dataset", "class_balance", "subject_balance", "triads"]

_FEW_PEOPLE = 3
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
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
    samples = np.zeros(len(dataset.label_names), np.int64)
    recordings = np.zeros_like(samples)
    for each in dataset.recordings:
        counts = np.bincount(each.label[each.label != UNLABELLED], minlength=len(samples))
        samples += counts
        recordings += counts > 0
    total = max(int(samples.sum()), 1)
    for name, count, holders in zip(
        dataset.label_names, samples.tolist(), recordings.tolist(), strict=True
    ):
        yield Balance(
            name=name, seconds=count / dataset.rate_hz, share=count / total, recordings=holders
        )


def subject_balance(dataset: Dataset) -> Iterator[Balance]:
    """Seconds of each person, labelled or not."""
    for who, mine in dataset.by_subject.items():
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
    yield from _check_alike("subjects", dataset.subjects)
    yield from _check_alike("classes", dataset.label_names)
    people = len(dataset.subjects)
    if people < _FEW_PEOPLE:
        yield Finding(
            code="subjects",
            severity="error" if people < 2 else "warning",
            message=f"{people} subjects; an honest test needs people who were not trained on",
            count=people,
        )


def _check_alike(what: str, names: Iterable[str]) -> Iterator[Finding]:
    """One person under two spellings would be trained on and tested on."""
    spellings: dict[str, list[str]] = {}
    for name in names:
        plain = _BETWEEN_WORDS.sub(" ", _LEADING_ZEROS.sub("", name.casefold())).strip()
        spellings.setdefault(plain or name, []).append(name)
    for found in spellings.values():
        if len(found) > 1:
            yield Finding(
                code="alike",
                severity="warning",
                message=f"{what} {' and '.join(map(repr, found))} differ in their spelling alone; "
                "are they one? then map or mend it",
                count=len(found),
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
    sampled = np.concatenate([r.samples[::step] for r in dataset.recordings])
    lows, highs = _ends(dataset)
    for position, channel in enumerate(dataset.channels):
        values = sampled[:, position]
        known = values[np.isfinite(values)].astype(np.float64)
        known = known if len(known) else np.zeros(1)
        q01, median, q99 = np.quantile(known, [0.01, 0.5, 0.99]).tolist()
        yield ChannelSummary(
            name=channel.name,
            unit=channel.unit,
            low=lows[position],
            q01=q01,
            median=median,
            q99=q99,
            high=highs[position],
            std=float(known.std()),
        )


def _ends(dataset: Dataset) -> tuple[list[float], list[float]]:
    """The least and the greatest number of every channel; zeros where there is none."""
    low = np.full(len(dataset.channels), np.inf)
    high = -low
    for each in dataset.recordings:
        finite = np.isfinite(each.samples)
        low = np.minimum(low, each.samples.min(axis=0, initial=np.inf, where=finite))
        high = np.maximum(high, each.samples.max(axis=0, initial=-np.inf, where=finite))
    is_known = np.isfinite(low)
    return np.where(is_known, low, 0.0).tolist(), np.where(is_known, high, 0.0).tolist()
