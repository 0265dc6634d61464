from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.workbench.data import (
    Dataset,
    Recording,
    Split,
    check_leaks,
    check_windows,
    cut_windows,
    split_by_subject,
)
from edgewright.workbench.data.leaks import near_duplicates, overlapping_recordings


@pytest.fixture
def split(dataset: Dataset) -> Split:
    return split_by_subject(dataset, test=("5",), val=("4",))


def test_a_split_by_people_passes(dataset: Dataset, split: Split) -> None:
    windows = {
        part: cut_windows(dataset, getattr(split, part), length=100, hop=50)
        for part in ("train", "val", "test")
    }
    check_leaks(dataset, split, windows)


def test_a_recording_imported_twice_under_another_name_is_found_at_any_offset(
    dataset: Dataset, split: Split
) -> None:
    original = dataset.recordings[0]
    copy = replace(
        original,
        samples=original.samples[37:].copy(),
        label=original.label[37:],
        subject="5",
        name="imported again",
    )
    doubled = replace(dataset, recordings=(*dataset.recordings, copy))
    with pytest.raises(
        InputError, match=r"copies of recordings imported again .* train and in test"
    ):
        check_leaks(doubled, split)


def test_recordings_that_stand_still_alike_are_no_copies(
    dataset: Dataset, split: Split, make_recording: Callable[..., Recording]
) -> None:
    flat = []
    for who in ("1", "5"):
        base = make_recording(who, f"{who}-flat")
        flat.append(replace(base, samples=np.zeros_like(base.samples)))
    check_leaks(replace(dataset, recordings=(*dataset.recordings, *flat)), split)


def _heart_rate(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.clip(75 + np.cumsum(rng.integers(-1, 2, 3000)), 40, 180)


def _ticks(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.round(30 * np.sin(np.arange(3000) / rng.uniform(5, 9)) + rng.normal(0, 1, 3000))


def _temperature(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.round(21 + np.cumsum(rng.normal(0, 0.05, 3000)), 1)


def _switch(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(np.cumsum(rng.random(3000) < 0.02) % 2, float)


def _blinking(_: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(np.arange(3000) // 2 % 2, float)


@pytest.mark.parametrize("signal", [_heart_rate, _ticks, _temperature, _switch, _blinking])
def test_coarse_sensors_of_many_people_are_no_copies(
    signal: Callable[[np.random.Generator], NDArray[np.float64]],
) -> None:
    recordings = [
        Recording(
            signal(np.random.default_rng(who)).astype(np.float32)[:, None],
            np.zeros(3000, np.int16),
            f"p{who}",
            f"r{who}",
            1.0,
        )
        for who in range(6)
    ]
    channels = (Channel(name="only", unit="1"),)
    sensor = Dataset(tuple(recordings), channels, ("a",), 1.0, "made here")
    split = split_by_subject(sensor, test=("p0",), val=("p1",))
    check_leaks(sensor, split)
    if signal is _heart_rate:
        again = replace(recordings[4], subject="p0", name="again")
        with pytest.raises(InputError, match="copies of recordings again"):
            check_leaks(replace(sensor, recordings=(*recordings, again)), split)


def test_near_duplicates_are_found_where_a_channel_is_absent(dataset: Dataset) -> None:
    train = cut_windows(dataset, ["1"], length=100, hop=50)
    x = train.x.copy()
    x[..., 0] = np.nan
    rounded = replace(train, x=np.round(x, 3))
    found = near_duplicates(replace(train, x=x), rounded)
    assert [pair for pair in found if pair[0] == pair[1]] == [(n, n) for n in range(len(x))]


def test_windows_of_one_recording_on_both_sides_are_refused(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["1"], length=100, hop=50)
    left, right = windows.take(np.arange(0, 5)), windows.take(np.arange(5, 10))
    with pytest.raises(InputError, match="leak: subjects 1"):
        check_windows(left, right, names=("train", "test"))
    with pytest.raises(InputError, match="leak: overlapping windows of 1-slow"):
        check_windows(
            windows.take(np.arange(0, 5, 2)),
            windows.take(np.arange(1, 5, 2)),
            names=("train", "test"),
        )


def test_windows_that_only_touch_do_not_overlap(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["1"], length=100, hop=100)
    assert (
        overlapping_recordings(windows.take(np.arange(1)), windows.take(np.arange(1, 3))) == set()
    )


def test_windows_of_one_sample_in_common_overlap(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["1"], length=100, hop=99)
    found = overlapping_recordings(windows.take(np.arange(1, 2)), windows.take(np.arange(2)))
    assert found == {"1-slow"}


def test_rounded_copies_of_windows_are_near_duplicates(dataset: Dataset) -> None:
    train = cut_windows(dataset, ["1"], length=100, hop=50)
    others = cut_windows(dataset, ["2"], length=100, hop=50)
    x = others.x.copy()
    x[3] = np.round(train.x[6], 3)
    test = replace(others, x=x)
    assert near_duplicates(train, test) == [(6, 3)]
    with pytest.raises(InputError, match="near-duplicate windows 6~3"):
        check_windows(train, test, names=("train", "test"))


def test_a_recording_on_both_sides_is_refused_even_under_two_people(dataset: Dataset) -> None:
    windows = cut_windows(dataset, ["1"], length=100, hop=100)
    left = windows.take(np.arange(1))
    right = windows.take(np.arange(2, 3))
    renamed = replace(right, subject=np.array(["2"]))
    with pytest.raises(InputError, match="leak: recordings 1-slow"):
        check_windows(left, renamed, names=("train", "test"))


def test_many_names_are_shortened(make_dataset: Callable[..., Dataset]) -> None:
    many = make_dataset(people=8)
    windows = cut_windows(many, many.subjects, length=100, hop=50)
    with pytest.raises(InputError, match=r"\(16\) stand in") as caught:
        check_windows(windows, windows, names=("a", "b"))
    assert ", ..." in str(caught.value)


def test_a_split_with_nobody_to_test_passes(dataset: Dataset) -> None:
    check_leaks(dataset, Split(name="all", train=dataset.subjects))
