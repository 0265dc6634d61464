from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, LabelRange, parse_range, read_ranges, relabel


def test_a_range_is_written_over_the_labels(dataset: Dataset) -> None:
    after = relabel(dataset, [LabelRange("1-slow", 1.0, 2.0, "fast")])
    (changed,) = [r for r in after.recordings if r.name == "1-slow"]
    assert np.flatnonzero(changed.label == 1).tolist() == list(range(50, 100))
    assert after.recordings[1].label is not changed.label
    assert set(dataset.recordings[0].label.tolist()) == {0}


def test_the_later_range_wins_and_new_names_come_last(dataset: Dataset) -> None:
    ranges = [LabelRange("1-slow", 0, 6, "sit"), LabelRange("1-slow", 2, 3, "")]
    after = relabel(dataset, ranges)
    assert after.label_names == ("slow", "fast", "sit")
    label = after.recordings[0].label
    assert set(label[:100].tolist()) == {2}
    assert set(label[100:150].tolist()) == {-1}


def test_a_range_may_end_after_the_recording_but_not_begin_there(dataset: Dataset) -> None:
    after = relabel(dataset, [LabelRange("1-slow", 5.0, 99.0, "fast")])
    assert (after.recordings[0].label == 1).sum() == 50
    with pytest.raises(InputError, match="begins after the end"):
        relabel(dataset, [LabelRange("1-slow", 6.0, 7.0, "fast")])


def test_an_unknown_recording_is_named(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="'zzz' is not in made up"):
        relabel(dataset, [LabelRange("zzz", 0, 1, "fast")])


def test_a_recording_may_hold_colons() -> None:
    assert parse_range("a:b:0:1.5:walk") == LabelRange("a:b", 0.0, 1.5, "walk")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1:2",
        "a:x:2:walk",
        "a:2:1:walk",
        "a:-1:1:walk",
        "a:1:1:walk",
        "a:0:inf:walk",
        "a:nan:2:walk",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="range"):
        parse_range(text)


def test_a_file_of_ranges_names_its_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "ranges.txt"
    path.write_text("# by ann\n1-slow:0:1:fast\n\n1-slow:1:2:slow  # sure\n")
    assert [each.label for each in read_ranges(path)] == ["fast", "slow"]
    path.write_text("1-slow:0:1:fast\nnonsense\n")
    with pytest.raises(InputError, match="line 2: range 'nonsense'"):
        read_ranges(path)
