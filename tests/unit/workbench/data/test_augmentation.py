from dataclasses import replace

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import (
    TRANSFORMATIONS,
    Dataset,
    Split,
    WindowSet,
    augment_windows,
    cut_windows,
    split_by_subject,
)

NAMES = tuple(TRANSFORMATIONS)


@pytest.fixture
def split(dataset: Dataset) -> Split:
    return split_by_subject(dataset, test=("4", "5"))


@pytest.fixture
def train(dataset: Dataset, split: Split) -> WindowSet:
    return cut_windows(dataset, split.train, length=100, hop=50)


def test_there_are_the_seven() -> None:
    assert len(NAMES) == 7


@pytest.mark.parametrize("name", NAMES)
def test_windows_change_and_stay_the_same_kind(train: WindowSet, split: Split, name: str) -> None:
    varied = augment_windows(train, split, [name], copies=2, seed=1)
    assert varied.x.shape == (2 * len(train), *train.x.shape[1:])
    assert varied.x.dtype == np.float32
    assert np.isfinite(varied.x).all()
    assert varied.y.tolist() == [*train.y.tolist()] * 2
    changed = (varied.x[: len(train)] != train.x).any(axis=(1, 2))
    assert changed.mean() > 0.8
    assert (varied.x[: len(train)] != varied.x[len(train) :]).any()
    again = augment_windows(train, split, [name], copies=2, seed=1)
    assert np.array_equal(varied.x, again.x)


@pytest.mark.parametrize("name", NAMES)
def test_people_who_are_tested_are_refused(dataset: Dataset, split: Split, name: str) -> None:
    windows = cut_windows(dataset, ("1", "4"), length=100, hop=50)
    with pytest.raises(InputError, match=r"training windows only; subjects \['4'\] do not train"):
        augment_windows(windows, split, [name])


def test_a_rotation_keeps_the_size_of_each_sensor(train: WindowSet, split: Split) -> None:
    varied = augment_windows(train, split, ["rotation"])
    for axes in (slice(0, 3), slice(3, 6)):
        before = np.linalg.norm(train.x[:, :, axes], axis=2)
        assert np.linalg.norm(varied.x[:, :, axes], axis=2) == pytest.approx(before, abs=1e-5)


def test_a_permutation_keeps_every_sample(train: WindowSet, split: Split) -> None:
    varied = augment_windows(train, split, ["permutation"], seed=3)
    assert np.array_equal(np.sort(varied.x, axis=1), np.sort(train.x, axis=1))


def test_a_warp_of_time_begins_and_ends_where_it_did(train: WindowSet, split: Split) -> None:
    varied = augment_windows(train, split, ["time-warp"])
    assert varied.x[:, [0, -1]] == pytest.approx(train.x[:, [0, -1]], abs=1e-3)


def test_one_channel_is_dropped_to_its_mean(train: WindowSet, split: Split) -> None:
    varied = augment_windows(train, split, ["channel-drop"])
    still = np.ptp(varied.x, axis=1) == 0
    assert still.sum(axis=1).tolist() == [1] * len(train)
    assert varied.x.mean(axis=1) == pytest.approx(train.x.mean(axis=1), abs=1e-5)


@pytest.mark.parametrize("absent", [0.0, np.nan])
def test_an_absent_sensor_stays_absent(train: WindowSet, split: Split, absent: float) -> None:
    x = train.x.copy()
    x[:, :, 3:] = absent
    varied = augment_windows(replace(train, x=x), split, NAMES)
    assert np.array_equal(varied.x[:, :, 3:], x[:, :, 3:], equal_nan=True)
    assert np.isfinite(varied.x[:, :, :3]).all()


@pytest.mark.parametrize(
    ("names", "copies", "message"),
    [
        (["rotatoin"], 1, "'rotatoin' is not known; did you mean 'rotation'"),
        ([], 1, "nothing to do"),
        (["jitter"], 0, "nothing to do"),
    ],
)
def test_what_cannot_be_done_is_said(
    train: WindowSet, split: Split, names: list[str], copies: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        augment_windows(train, split, names, copies=copies)
