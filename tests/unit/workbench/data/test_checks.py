from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.steps.units import STANDARD_GRAVITY
from edgewright.workbench.data import DataReport, Dataset, check_dataset

Change = Callable[[NDArray[Any]], None]
Array = NDArray[Any]


def codes(report: DataReport) -> set[str]:
    return {finding.code for finding in report.findings}


def changed(dataset: Dataset, change: Change) -> Dataset:
    """The dataset with one function applied to the samples of its first recording."""
    first = dataset.recordings[0]
    samples = first.samples.copy()
    change(samples)
    return replace(dataset, recordings=(replace(first, samples=samples), *dataset.recordings[1:]))


def everywhere(dataset: Dataset, change: Change) -> Dataset:
    recordings = []
    for each in dataset.recordings:
        samples = each.samples.copy()
        change(samples)
        recordings.append(replace(each, samples=samples))
    return replace(dataset, recordings=tuple(recordings))


def test_good_data_has_no_findings(dataset: Dataset) -> None:
    report = check_dataset(dataset)
    assert report.findings == ()
    assert report.worst == "info"
    assert [each.share for each in report.classes] == [0.5, 0.5]
    assert sum(each.seconds for each in report.subjects) == pytest.approx(60.0)


def put(rows: int | slice, column: int | slice, value: float) -> Change:
    def change(samples: Array) -> None:
        samples[rows, column] = value

    return change


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        (put(slice(50, 90), 1, np.nan), "not-finite", "error"),
        (put(7, 3, np.inf), "not-finite", "error"),
        (put(20, 0, 1e9), "huge", "error"),
        (put(slice(100, 200), 4, 0.25), "flat", "warning"),
        (put(slice(10, 18), 4, 16.0), "clipped", "warning"),
        (put(33, 2, 40.0), "outlier", "warning"),
    ],
)
def test_what_is_wrong_with_a_channel_is_found_and_named(
    dataset: Dataset, change: Change, code: str, severity: str
) -> None:
    (finding,) = [f for f in check_dataset(changed(dataset, change)).findings if f.code == code]
    assert finding.severity == severity
    assert finding.recording == "1-slow"
    assert finding.channel
    assert finding.count >= 1


def test_metres_per_second_squared_taken_for_g_are_suspected(dataset: Dataset) -> None:
    def change(samples: Array) -> None:
        samples[:, :3] *= STANDARD_GRAVITY

    (finding,) = check_dataset(everywhere(dataset, change)).findings
    assert finding.code == "gravity"
    assert "m/s2" in finding.message


def test_accelerometer_and_gyroscope_swapped_are_suspected(dataset: Dataset) -> None:
    def change(samples: Array) -> None:
        samples[:] = samples[:, [3, 4, 5, 0, 1, 2]]

    assert "gravity" in codes(check_dataset(everywhere(dataset, change)))


def test_degrees_taken_for_radians_are_suspected(dataset: Dataset) -> None:
    def change(samples: Array) -> None:
        samples[:, 3:] *= 180 / np.pi

    (finding,) = check_dataset(everywhere(dataset, change)).findings
    assert finding.code == "turning"
    assert "deg/s" in finding.message


def test_gravity_taken_out_is_said(dataset: Dataset) -> None:
    def change(samples: Array) -> None:
        samples[:, 2] -= 1.0
        samples[:, 0] = 0.02 * samples[:, 1]

    messages = [f.message for f in check_dataset(everywhere(dataset, change)).findings]
    assert any("gravity was taken out" in message for message in messages)


def test_copies_are_found(dataset: Dataset) -> None:
    copy = replace(dataset.recordings[0], name="again", subject="9")
    report = check_dataset(replace(dataset, recordings=(*dataset.recordings, copy)))
    (finding,) = [f for f in report.findings if f.code == "copy"]
    assert "1-slow and again" in finding.message


def test_one_class_only_is_an_error(dataset: Dataset) -> None:
    report = check_dataset(dataset.with_labels(["fast"]))
    assert report.worst == "error"
    assert "classes" in codes(report)


def test_a_class_that_never_occurs_and_few_people_are_warned_of(dataset: Dataset) -> None:
    two = replace(dataset.of_subjects(["1", "2"]), label_names=("slow", "fast", "never"))
    report = check_dataset(two)
    assert codes(report) == {"rare-class", "subjects"}
    assert report.worst == "warning"


def test_one_person_is_an_error(dataset: Dataset) -> None:
    (finding,) = check_dataset(dataset.of_subjects(["1"])).findings
    assert (finding.code, finding.severity) == ("subjects", "error")


def test_three_samples_are_reported_and_nothing_breaks(dataset: Dataset) -> None:
    first = dataset.recordings[0]
    tiny = replace(first, samples=first.samples[:3], label=first.label[:3])
    report = check_dataset(replace(dataset, recordings=(tiny,)))
    assert "short" in codes(report)
    assert "gravity" in codes(report)


def test_an_empty_recording_is_reported_and_nothing_breaks(dataset: Dataset) -> None:
    first = dataset.recordings[0]
    empty = replace(first, samples=first.samples[:0], label=first.label[:0])
    assert "short" in codes(check_dataset(replace(dataset, recordings=(empty,))))


def test_all_nan_is_reported_and_nothing_breaks(dataset: Dataset) -> None:
    report = check_dataset(everywhere(dataset, put(slice(None), slice(None), np.nan)))
    assert "not-finite" in codes(report)
    assert report.worst == "error"


def test_notes_of_the_import_are_in_the_report(dataset: Dataset) -> None:
    report = check_dataset(replace(dataset, notes=("recording r: the clock ran backwards",)))
    assert [finding.message for finding in report.findings] == [
        "recording r: the clock ran backwards",
    ]


def test_a_report_is_json(dataset: Dataset) -> None:
    report = check_dataset(dataset)
    assert msgspec.json.decode(msgspec.json.encode(report), type=DataReport) == report


def test_a_channel_that_was_never_measured_is_absent_and_no_error(dataset: Dataset) -> None:
    report = check_dataset(changed(dataset, put(slice(None), slice(3, 6), np.nan)))
    assert [(f.code, f.severity, f.channel) for f in report.findings] == [
        ("absent", "info", f"gyro_{axis}") for axis in "xyz"
    ]


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (("Ann", "ann"), True),
        (("s01", "S1"), True),
        (("ann b", "Ann_B"), True),
        (("p1-1", "p11"), False),
        (("0.05", "0.5"), False),
        (("10", "100"), False),
    ],
)
def test_one_person_under_two_spellings_is_suspected(
    dataset: Dataset, names: tuple[str, str], alike: bool
) -> None:
    first, second, *rest = dataset.recordings
    two = (replace(first, subject=names[0]), replace(second, subject=names[1]), *rest)
    report = check_dataset(replace(dataset, recordings=two))
    told = [each.message for each in report.findings if each.code == "alike"]
    assert len(told) == alike
    assert all(repr(name) in message for message in told for name in names)
