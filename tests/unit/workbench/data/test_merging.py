from dataclasses import replace

import numpy as np
import pytest

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, merge_datasets

OURS = {"slow": "walking", "fast": "running"}
THEIRS = {"run": "running", "sit": "sitting", "noise": ""}


@pytest.fixture
def other(dataset: Dataset) -> Dataset:
    """Three labels under the same positions, three channels only, twice the rate."""
    recordings = tuple(
        replace(r, samples=r.samples[:, :3].copy(), rate_hz=100.0) for r in dataset.recordings
    )
    return replace(
        dataset,
        recordings=recordings,
        channels=dataset.channels[:3],
        label_names=("run", "sit", "noise"),
        rate_hz=100.0,
        source="other",
    )


def test_labels_meet_by_name_and_never_by_position(dataset: Dataset, other: Dataset) -> None:
    merged = merge_datasets({"a": dataset, "b": other}, {"a": OURS, "b": THEIRS}, rate_hz=50.0)
    assert merged.label_names == ("walking", "running", "sitting")
    seen = {r.name: set(r.label.tolist()) for r in merged.recordings}
    assert seen["a/1-fast"] == seen["b/1-slow"] == {1}
    assert seen["b/1-fast"] == {2}


def test_people_of_two_sources_stay_different_people(dataset: Dataset, other: Dataset) -> None:
    merged = merge_datasets({"a": dataset, "b": other}, {"a": OURS, "b": THEIRS})
    assert len(merged.subjects) == 10
    assert {"a/1", "b/1"} <= set(merged.subjects)


def test_a_channel_that_a_source_lacks_is_absent_and_not_invented(
    dataset: Dataset, other: Dataset
) -> None:
    merged = merge_datasets({"a": dataset, "b": other}, {"a": OURS, "b": THEIRS})
    assert merged.channels == dataset.channels
    for recording in merged.recordings:
        lacks = np.isnan(recording.samples).all(axis=0)
        assert lacks.tolist() == [False] * 3 + [recording.name.startswith("b/")] * 3


def test_sources_come_to_one_rate(dataset: Dataset, other: Dataset) -> None:
    merged = merge_datasets({"a": dataset, "b": other}, {"a": OURS, "b": THEIRS}, rate_hz=50.0)
    assert merged.rate_hz == 50.0
    assert {len(r) for r in merged.recordings if r.name.startswith("b/")} == {150}


def test_a_label_that_must_not_be_learnt_becomes_unlabelled(dataset: Dataset) -> None:
    merged = merge_datasets({"a": dataset}, {"a": {"slow": "", "fast": "running"}})
    assert merged.label_names == ("running",)
    assert {r.label[0] for r in merged.recordings} == {-1, 0}


def test_ids_that_collide_are_refused(dataset: Dataset, other: Dataset) -> None:
    with pytest.raises(InputError, match="label id 0 is 'slow' in a and 'run' in b"):
        merge_datasets({"a": dataset, "b": other}, {})
    with pytest.raises(InputError, match="b has a label map and a has none"):
        merge_datasets({"a": dataset, "b": other}, {"b": THEIRS})


def test_sources_of_the_same_labels_need_no_map(dataset: Dataset) -> None:
    merged = merge_datasets({"a": dataset, "b": dataset}, {})
    assert merged.label_names == dataset.label_names
    assert len(merged.recordings) == 20


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"a": {"slow": "walking"}}, r"labels \['fast'\] have no name"),
        ({"a": {**OURS, "jump": "jumping"}}, r"labels \['jump'\] do not occur"),
        ({"a": OURS, "c": OURS}, r"label maps \['c'\] belong to no source"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    dataset: Dataset, maps: dict[str, dict[str, str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        merge_datasets({"a": dataset}, maps)


def test_a_channel_in_two_units_is_refused(dataset: Dataset) -> None:
    strange = replace(dataset, channels=(Channel(name="acc_x", unit="m/s2"), *dataset.channels[1:]))
    with pytest.raises(InputError, match="channel acc_x is in 'm/s2' in b and in 'g'"):
        merge_datasets({"a": dataset, "b": strange}, {})


def test_nothing_to_merge_is_refused() -> None:
    with pytest.raises(InputError, match="no sources"):
        merge_datasets({}, {})
