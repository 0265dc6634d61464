import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.workbench.data import (
    Dataset,
    Split,
    cut_windows,
    k_folds,
    leave_one_out,
    split_by_subject,
    split_windows_at_random,
)


def test_named_people_are_tested_and_the_rest_trains(dataset: Dataset) -> None:
    split = split_by_subject(dataset, test=("4", "2"), val=("1",))
    assert (split.train, split.val, split.test) == (("3", "5"), ("1",), ("2", "4"))


def test_counted_people_are_drawn_with_the_seed(dataset: Dataset) -> None:
    drawn = {split_by_subject(dataset, test=2, val=1, seed=seed).test for seed in range(20)}
    assert len(drawn) > 3
    assert split_by_subject(dataset, test=2, seed=7) == split_by_subject(dataset, test=2, seed=7)


@given(test=st.integers(0, 6), val=st.integers(0, 6), seed=st.integers(0, 99))
def test_nobody_is_in_two_parts_and_nobody_is_lost(
    five_people: Dataset, test: int, val: int, seed: int
) -> None:
    dataset = five_people
    try:
        split = split_by_subject(dataset, test=test, val=val, seed=seed)
    except InputError:
        assert test + val >= 5
        return
    assert sorted([*split.train, *split.val, *split.test]) == ["1", "2", "3", "4", "5"]


@pytest.fixture(scope="module")
def five_people() -> Dataset:
    import numpy as np

    from edgewright.workbench.data import Channel, Dataset, Recording

    recordings = tuple(
        Recording(np.zeros((1, 1), np.float32), np.zeros(1, np.int16), str(n), str(n), 50.0)
        for n in range(1, 6)
    )
    return Dataset(recordings, (Channel(name="a"),), ("x",), 50.0, "five people")


def test_a_person_in_two_parts_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"subjects \['2'\] are in two parts"):
        Split(name="bad", train=("1", "2"), test=("2",))
    with pytest.raises(InputError, match="two parts"):
        split_by_subject(dataset, test=("1",), val=("1",))


def test_a_split_without_anybody_to_train_on_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="nobody is left to train on"):
        split_by_subject(dataset, test=5)


def test_an_unknown_person_is_named(dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"\['9'\] are not in made up"):
        split_by_subject(dataset, test=("9",))


def test_folds_test_everybody_exactly_once(dataset: Dataset) -> None:
    folds = k_folds(dataset, 3, seed=1)
    assert sorted(who for fold in folds for who in fold.test) == list(dataset.subjects)
    assert all(set(fold.train).isdisjoint(fold.test) for fold in folds)
    assert k_folds(dataset, 3, seed=1) == folds


@pytest.mark.parametrize("k", [0, 1, 6])
def test_more_folds_than_people_are_refused(dataset: Dataset, k: int) -> None:
    with pytest.raises(InputError, match="has 5 subjects"):
        k_folds(dataset, k)


def test_leaving_one_out_tests_each_person_alone(dataset: Dataset) -> None:
    assert [split.test for split in leave_one_out(dataset)] == [(who,) for who in dataset.subjects]


def test_a_random_split_needs_permission_and_carries_a_warning(dataset: Dataset) -> None:
    windows = cut_windows(dataset, dataset.subjects, length=100, hop=50)
    with pytest.raises(InputError, match="i-know-this-leaks"):
        split_windows_at_random(windows, test_share=0.3, seed=0)
    train, test = split_windows_at_random(windows, test_share=0.3, seed=0, leaks_accepted=True)
    assert len(train) + len(test) == len(windows)
    assert len(test) == round(0.3 * len(windows))
    assert "LEAKS" in train.warning
    assert "LEAKS" in test.warning


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0, -0.5])
def test_a_random_split_with_an_empty_side_is_refused(dataset: Dataset, share: float) -> None:
    windows = cut_windows(dataset, dataset.subjects, length=100, hop=50)
    with pytest.raises(InputError, match=f"a share of {share:g} tests"):
        split_windows_at_random(windows, test_share=share, seed=0, leaks_accepted=True)
