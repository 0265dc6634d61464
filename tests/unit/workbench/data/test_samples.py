from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import SampleSet, chunks, is_on_disk


def made(folder: Path, *, on_disk: bool) -> SampleSet:
    path = folder / "x.npy"
    np.save(path, np.arange(40, dtype=np.float32).reshape(10, 4))
    return SampleSet(
        inputs={"x": np.load(path, mmap_mode="r" if on_disk else None)},
        target=np.arange(10) % 2,
        group=np.array(list("aabbccddee")),
        labels=("no", "yes"),
    )


def test_rows_on_disk_stay_there_however_often_some_are_taken(tmp_path: Path) -> None:
    disk, memory = made(tmp_path, on_disk=True), made(tmp_path, on_disk=False)
    few, same = (
        each.take(np.arange(9, 1, -1)).take(np.array([True, False] * 4)).take(np.array([3, 0]))
        for each in (disk, memory)
    )
    assert is_on_disk(few.inputs["x"])
    assert few.inputs["x"].shape == (2, 4)
    assert np.array_equal(few.inputs["x"][:], same.inputs["x"][:])
    assert few.group.tolist() == same.group.tolist()


def test_the_hash_follows_the_content_and_not_where_it_lies(tmp_path: Path) -> None:
    disk, memory = made(tmp_path, on_disk=True), made(tmp_path, on_disk=False)
    assert disk.content_hash() == memory.content_hash()
    order = np.arange(10)[::-1]
    assert disk.take(order).content_hash() == memory.take(order).content_hash()
    assert disk.take(order).content_hash() != disk.content_hash()


def test_a_known_hash_is_not_computed_again_but_follows_the_rows(tmp_path: Path) -> None:
    memory = made(tmp_path, on_disk=False)
    known = SampleSet(memory.inputs, memory.target, memory.group, content="known")
    assert known.content_hash() == "known"
    first, second = known.take(np.arange(3)), known.take(np.arange(4))
    assert len({"known", first.content_hash(), second.content_hash()}) == 3


def test_a_large_array_is_read_in_parts(tmp_path: Path) -> None:
    x = made(tmp_path, on_disk=True).inputs["x"]
    parts = list(chunks(x, limit_bytes=48))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    assert np.array_equal(np.concatenate(parts), x[:])


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"inputs \{'x': \[3, 2\]\}, 2 targets and 2 groups"):
        SampleSet({"x": np.zeros((3, 2))}, np.zeros(2), np.array(["a", "b"]))
