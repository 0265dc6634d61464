import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import ChannelMapping, SourceMapping, read_source

MAPPING = SourceMapping(
    channels=(ChannelMapping(column="x", name="acc_x", unit="g"),), time="t", time_unit="ms"
)


def a_range(start: float | str, end: float | str, *labels: str) -> dict[str, Any]:
    return {"start": start, "end": end, "instant": False, "timeserieslabels": list(labels)}


def annotation(*ranges: dict[str, Any], **facts: Any) -> dict[str, Any]:
    result = [{"id": "a", "type": "timeserieslabels", "value": each} for each in ranges]
    choice = {"id": "b", "type": "choices", "value": {"choices": ["good"]}}
    return {"result": [*result, choice], **facts}


def export(folder: Path, tasks: Any, *, csv: str = "walk.csv") -> str:
    rows = "".join(f"{20 * at},{at / 50}\n" for at in range(50))
    (folder / csv).write_text("t,x\n" + rows)
    (folder / "export.json").write_text(json.dumps(tasks))
    return "export.json"


def task(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "data": {"csv": "/data/upload/1/0a1b2c3d-walk.csv", "subject": "ann"},
        "annotations": [annotation(a_range(100, 200, "walk"), a_range(400, 990, "sit"))],
        **changes,
    }


def test_ranges_become_labels_of_the_samples(tmp_path: Path) -> None:
    dataset = read_source(export(tmp_path, [task()]), MAPPING, folder=tmp_path)
    (only,) = dataset.recordings
    assert (only.subject, only.name, dataset.rate_hz) == ("ann", "7", 50.0)
    assert dataset.label_names == ("sit", "walk")
    assert only.label.tolist() == [-1] * 5 + [1] * 6 + [-1] * 9 + [0] * 30


def test_the_short_form_and_columns_inside_are_read(tmp_path: Path) -> None:
    columns = {"t": [20 * at for at in range(10)], "x": [0.5, None, *[1.0] * 8]}
    short = {"id": 1, "ts": columns, "subject": 3, "label": [a_range(0, 80, "walk")]}
    dataset = read_source(export(tmp_path, [short]), MAPPING, folder=tmp_path)
    assert dataset.subjects == ("3",)
    assert dataset.recordings[0].label.tolist() == [0] * 5 + [-1] * 5


def test_without_a_clock_ranges_count_samples(tmp_path: Path) -> None:
    mapping = SourceMapping(channels=MAPPING.channels, rate_hz=50.0)
    one = task(annotations=[annotation(a_range(0, 4, "walk"))])
    dataset = read_source(export(tmp_path, [one]), mapping, folder=tmp_path)
    assert dataset.recordings[0].label.tolist() == [0] * 5 + [-1] * 45


@pytest.mark.parametrize(
    "annotations",
    [
        [
            annotation(a_range(0, 990, "sit"), was_cancelled=True),
            annotation(a_range(0, 990, "walk")),
        ],
        [
            annotation(a_range(0, 990, "sit")),
            annotation(a_range(0, 990, "walk"), ground_truth=True),
        ],
    ],
)
def test_the_annotation_that_counts_is_chosen(tmp_path: Path, annotations: list[Any]) -> None:
    source = export(tmp_path, [task(annotations=annotations)])
    assert read_source(source, MAPPING, folder=tmp_path).label_names == ("walk",)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "no tasks in it"),
        ([task(), task()], "two recordings share a name"),
        ([task(data={"csv": "../../etc/other.csv", "subject": "a"})], r"no other\.csv beside"),
        ([task(data={"subject": "ann"})], r"names no \.csv file and carries no columns"),
        ([task(data={"csv": "walk.csv"})], "no column 'subject' for the subject"),
        ([task(data={"ts": {"t": [1, 2], "x": [1]}})], "expected as many in each"),
        ([task(annotations=[annotation(a_range(0, 9, "a", "b"))])], r"\['a', 'b'\], expected one"),
        ([task(annotations=[annotation(a_range("noon", 9, "a"))])], "expected a number"),
        ([3], "expected `object`|expected"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, tasks: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_source(export(tmp_path, tasks), MAPPING, folder=tmp_path)
