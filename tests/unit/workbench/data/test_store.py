from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, DatasetStore, Lineage


def test_what_is_stored_comes_back_whole(tmp_path: Path, dataset: Dataset) -> None:
    store = DatasetStore(tmp_path)
    noted = replace(dataset, notes=("the clock ran backwards",))
    name = store.add(noted, lineage=Lineage(command="data import x", parents=("ab12",)))
    back = store.open(name)
    assert back.content_hash == name == dataset.content_hash
    assert back.notes == noted.notes
    assert np.array_equal(back.recordings[3].samples, dataset.recordings[3].samples)
    assert store.manifest(name).lineage.parents == ("ab12",)


def test_a_dataset_is_three_files_however_many_recordings(
    tmp_path: Path, make_dataset: Callable[..., Dataset]
) -> None:
    store = DatasetStore(tmp_path)
    name = store.add(make_dataset(people=40, seconds=1.0))
    assert len(list((tmp_path / name).iterdir())) == 3


def test_adding_again_changes_nothing(tmp_path: Path, dataset: Dataset) -> None:
    store = DatasetStore(tmp_path)
    name = store.add(dataset, lineage=Lineage(command="first"))
    assert store.add(dataset, lineage=Lineage(command="second")) == name
    assert store.manifest(name).lineage.command == "first"
    assert [each.content_hash for each in store.list()] == [name]


def test_samples_on_disk_cannot_be_written_to(tmp_path: Path, dataset: Dataset) -> None:
    store = DatasetStore(tmp_path)
    back = store.open(store.add(dataset))
    with pytest.raises(ValueError, match="read-only"):
        back.recordings[0].samples[0, 0] = 1.0


@pytest.mark.parametrize("file", ["samples.f32", "labels.i16", "dataset.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_damage_is_refused(tmp_path: Path, dataset: Dataset, file: str, damage: str) -> None:
    store = DatasetStore(tmp_path)
    name = store.add(dataset)
    path = tmp_path / name / file
    content = bytearray(path.read_bytes())
    if damage == "flip" and file == "dataset.json":
        content = bytearray(content.replace(b'"acc_x"', b'"acc_q"'))
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    else:
        content = content[:-7]
    path.write_bytes(content)
    with pytest.raises(InputError):
        store.open(name)


def test_a_beginning_of_the_hash_is_enough(tmp_path: Path, dataset: Dataset) -> None:
    store = DatasetStore(tmp_path)
    name = store.add(dataset)
    assert store.resolve(name[:8]) == name


@pytest.mark.parametrize("name", ["ffff", "abc", "", "../../etc", "....", "ABCD"])
def test_an_unknown_name_is_refused(tmp_path: Path, dataset: Dataset, name: str) -> None:
    store = DatasetStore(tmp_path)
    known = store.add(dataset)
    if known.startswith("ffff"):
        name = "0000"
    with pytest.raises(InputError, match="is not in the store"):
        store.open(name)


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "none")
    assert store.list() == ()
    with pytest.raises(InputError, match="there is nothing"):
        store.open("abcd")


def test_an_empty_recording_survives(tmp_path: Path, dataset: Dataset) -> None:
    first = dataset.recordings[0]
    empty = replace(first, samples=first.samples[:0], label=first.label[:0])
    store = DatasetStore(tmp_path)
    back = store.open(store.add(replace(dataset, recordings=(empty,))))
    assert len(back.recordings[0]) == 0
