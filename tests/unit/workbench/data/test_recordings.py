from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, Recording
from edgewright.workbench.data.recordings import natural_order

Array = NDArray[Any]


def test_the_content_hash_ignores_the_order_of_recordings_and_the_source(dataset: Dataset) -> None:
    turned = replace(dataset, recordings=dataset.recordings[::-1], source="elsewhere", notes=("x",))
    assert turned.content_hash == dataset.content_hash


@pytest.mark.parametrize("field", ["samples", "label", "subject", "name"])
def test_the_content_hash_changes_with_every_part_of_a_recording(
    dataset: Dataset, field: str
) -> None:
    first = dataset.recordings[0]
    samples, label = first.samples.copy(), first.label.copy()
    samples[3, 2] += 1e-6
    label[5] = -1
    changed = {"samples": samples, "label": label, "subject": "99", "name": "other"}[field]
    other = replace(
        dataset, recordings=(replace(first, **{field: changed}), *dataset.recordings[1:])
    )
    assert other.content_hash != dataset.content_hash


def test_the_content_hash_changes_with_labels_channels_and_rate(dataset: Dataset) -> None:
    swapped = replace(dataset, label_names=dataset.label_names[::-1])
    turned = replace(dataset, channels=dataset.channels[::-1])
    assert len({dataset.content_hash, swapped.content_hash, turned.content_hash}) == 3


@pytest.mark.parametrize(
    ("samples", "label", "message"),
    [
        (np.zeros((5, 2), np.float64), np.zeros(5, np.int16), "must be float32"),
        (np.zeros(5, np.float32), np.zeros(5, np.int16), "must be float32"),
        (np.zeros((5, 2), np.float32), np.zeros(4, np.int16), "5 samples need as many"),
        (np.zeros((5, 2), np.float32), np.zeros(5, np.int64), "int16 labels"),
    ],
)
def test_a_recording_refuses_arrays_that_are_not_its_own(
    samples: Array, label: Array, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Recording(samples, label, "1", "a", 50.0)


def test_a_dataset_refuses_a_label_without_a_name(
    dataset: Dataset, make_recording: Callable[..., Recording]
) -> None:
    stranger = make_recording("9", "z", label=2)
    with pytest.raises(InputError, match=r"labels 2\.\.2, the dataset names 0\.\.1"):
        replace(dataset, recordings=(*dataset.recordings, stranger))


def test_a_dataset_refuses_another_rate_and_twice_the_same_name(dataset: Dataset) -> None:
    first = dataset.recordings[0]
    with pytest.raises(InputError, match="has 100 Hz, the dataset 50"):
        replace(dataset, recordings=(replace(first, rate_hz=100.0),))
    with pytest.raises(InputError, match="share a name"):
        replace(dataset, recordings=(first, first))


def test_a_dataset_without_recordings_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="no recordings"):
        replace(dataset, recordings=())


def test_labels_are_renumbered_and_the_others_become_unlabelled(dataset: Dataset) -> None:
    fast = dataset.with_labels(["fast"])
    seen = {r.name: set(r.label.tolist()) for r in fast.recordings}
    assert fast.label_names == ("fast",)
    assert seen["1-fast"] == {0}
    assert seen["1-slow"] == {-1}


def test_an_unlabelled_sample_stays_unlabelled_when_labels_are_chosen(dataset: Dataset) -> None:
    first = dataset.recordings[0]
    blank = replace(first, label=np.full(len(first), -1, np.int16))
    chosen = replace(dataset, recordings=(blank,)).with_labels(["fast", "slow"])
    assert set(chosen.recordings[0].label.tolist()) == {-1}


def test_unknown_people_and_labels_are_named(dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"\['77'\] are not in made up"):
        dataset.of_subjects(["1", "77"])
    with pytest.raises(InputError, match=r"labels \['jump'\]"):
        dataset.with_labels(["jump"])


def test_names_are_sorted_with_numbers_by_value() -> None:
    assert natural_order(["b", "10", "9", "a", "²"]) == ("9", "10", "a", "b", "²")


def test_a_dataset_knows_its_size(dataset: Dataset) -> None:
    assert dataset.subjects == ("1", "2", "3", "4", "5")
    assert dataset.sample_count == 10 * 300
    assert dataset.recordings[0].seconds == 6.0
