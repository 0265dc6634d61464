from pathlib import Path

import numpy as np
import pytest

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.workbench.data import SourceMapping, read_npz
from edgewright.workbench.improve import (
    Pick,
    labelled_archive,
    parse_sheet,
    windows_of,
    write_sheet,
)

LABELS = ("walking", "sitting")
CHANNELS = tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz")
PICKS = [Pick(index=n, uncertainty=0.5, distance=1.0) for n in (4, 0, 2)]


def filled(*labels: str) -> str:
    head, *lines = write_sheet(PICKS).splitlines()
    return "\n".join([head, *(line + label for line, label in zip(lines, labels, strict=True))])


def test_lines_without_a_label_are_left_out() -> None:
    sheet = filled("walking", "", " sitting ")
    assert parse_sheet(sheet, LABELS, rows=5, source="s") == {4: "walking", 2: "sitting"}


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        (filled("walkign", "", ""), r"line 2: unknown label 'walkign'; did you mean 'walking'"),
        (filled("", "", ""), "no sample has a label"),
        ("sample;label\n1;walking\n", "no column sample and label"),
        ("sample,label\n9,walking\n", "sample '9', expected 0 to 4"),
        ("sample,label\n-1,walking\n", "sample '-1'"),
        ("sample,label\n1,walking\n1,sitting\n", "line 3: sample 1 is 'walking' further up"),
        ("", "no column"),
    ],
)
def test_a_sheet_that_cannot_be_right_is_refused(sheet: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_sheet(sheet, LABELS, rows=5, source="s")


def test_an_archive_reads_back_as_one_recording_a_window(tmp_path: Path) -> None:
    windows = np.random.default_rng(0).normal(size=(5, 50, 3)).astype(np.float32)
    labels = {4: "walking", 2: "sitting"}
    content = labelled_archive(windows, None, labels, channels=CHANNELS, rate_hz=50.0)
    assert content == labelled_archive(windows, None, labels, channels=CHANNELS, rate_hz=50.0)
    (tmp_path / "a.npz").write_bytes(content)
    dataset = read_npz(tmp_path / "a.npz", SourceMapping())
    assert dataset.channels == CHANNELS
    found = {each.name: each for each in dataset.recordings}
    assert set(found) == {"sample-2", "sample-4"}
    np.testing.assert_array_equal(found["sample-4"].samples, windows[4])
    assert dataset.label_names[found["sample-4"].label[0]] == "walking"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"X": np.zeros((2, 50, 3))}, "no array called x"),
        ({"x": np.zeros((2, 40, 3))}, r"shape \[2, 40, 3\], expected \[samples, 50, 3\]"),
        ({"x": np.full((2, 50, 3), np.nan)}, "no finite numbers"),
    ],
)
def test_windows_that_the_model_cannot_have_been_asked_are_refused(
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        windows_of(arrays, (50, 3), source="w.npz")


def test_people_must_pair_with_windows() -> None:
    with pytest.raises(InputError, match="do not pair"):
        labelled_archive(
            np.zeros((3, 5, 3)), np.array(["1"]), {0: "walking"}, channels=CHANNELS, rate_hz=50.0
        )
