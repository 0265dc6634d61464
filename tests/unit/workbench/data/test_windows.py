from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.workbench.data import Channel, Dataset, Recording, cut_windows


def numbered(labels: list[list[int]]) -> Dataset:
    """Recordings whose samples say which recording and which sample they are."""
    recordings = []
    for number, label in enumerate(labels):
        at = np.arange(len(label), dtype=np.float32)
        samples = np.stack([np.full_like(at, number), at], axis=1)
        recordings.append(
            Recording(samples, np.array(label, np.int16), str(number), f"r{number}", 10.0)
        )
    channels = (Channel(name="recording"), Channel(name="sample"))
    return Dataset(tuple(recordings), channels, ("a", "b", "c"), 10.0, "numbered")


@given(
    labels=st.lists(
        st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=1, max_size=40), min_size=1, max_size=4
    ),
    length=st.integers(1, 8),
    hop=st.integers(1, 8),
)
def test_a_window_never_crosses_a_recording_or_a_label(
    labels: list[list[int]], length: int, hop: int
) -> None:
    dataset = numbered(labels)
    try:
        windows = cut_windows(dataset, dataset.subjects, length=length, hop=hop)
    except InputError:
        return
    for at in range(len(windows)):
        (number,) = set(windows.x[at, :, 0].tolist())
        assert windows.recording[at] == f"r{int(number)}"
        assert windows.subject[at] == str(int(number))
        start = int(windows.start[at])
        assert windows.x[at, :, 1].tolist() == list(range(start, start + length))
        seen = set(labels[int(number)][start : start + length])
        assert seen == {int(windows.y[at])}
        assert seen != {-1}


def test_windows_start_every_hop_within_a_label() -> None:
    windows = cut_windows(numbered([[0] * 10 + [1] * 7]), ["0"], length=4, hop=3)
    assert windows.start.tolist() == [0, 3, 6, 10, 13]
    assert windows.y.tolist() == [0, 0, 0, 1, 1]


def test_windows_remember_their_dataset(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["2"], length=100, hop=50)
    assert windows.origin == dataset.content_hash
    assert windows.x.shape == (10, 100, 6)
    assert windows.subjects == ("2",)
    assert windows.length == 100


def test_windows_are_cut_at_another_rate(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["2"], length=50, hop=25, rate_hz=25.0)
    assert windows.rate_hz == 25.0
    assert windows.x.shape[1:] == (50, 6)


def test_a_window_longer_than_everything_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="no labelled stretch has 301 samples"):
        cut_windows(dataset, ["1"], length=301, hop=1)


@pytest.mark.parametrize(("length", "hop"), [(0, 1), (1, 0), (-5, 2)])
def test_sizes_below_one_are_refused(dataset: Dataset, length: int, hop: int) -> None:
    with pytest.raises(InputError, match="must be 1 or more"):
        cut_windows(dataset, ["1"], length=length, hop=hop)


def test_taking_rows_keeps_everything_together(dataset: Dataset) -> None:
    windows = cut_windows(dataset, dataset.subjects, length=100, hop=50)
    some = windows.take(windows.y == 1)
    assert set(some.recording.tolist()) == {f"{who}-fast" for who in range(1, 6)}
    assert len(some) == len(windows) // 2


def test_arrays_that_do_not_fit_are_refused(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["1"], length=100, hop=50)
    with pytest.raises(InputError, match="do not fit together"):
        replace(windows, y=windows.y[:-1])
