from pathlib import Path

import pytest

from edgewright.testing.power import Change, Disk, Left, Link, Loss, write_out

WRITTEN = (
    Change(kind="create", path="tmp"),
    Change(kind="write", path="tmp", data=b"new"),
    Change(kind="sync", path="tmp"),
    Change(kind="rename", path="tmp", target="file"),
    Change(kind="sync_folder", path=""),
)
"""A file written as it should be, where one of that name was."""


def disk_with(folder: Path, *changes: Change) -> Disk:
    (folder / "file").write_bytes(b"old")
    disk = Disk.of(folder)
    for change in changes:
        disk.apply(change)
    return disk


def but(*left_out: str) -> tuple[Change, ...]:
    return tuple(change for change in WRITTEN if change.kind not in left_out)


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("count", range(len(WRITTEN) + 1))
def test_a_file_written_as_it_should_be_is_old_or_new(
    tmp_path: Path, loss: Loss, count: int
) -> None:
    disk = disk_with(tmp_path, *WRITTEN[:count])
    for seed in range(8):
        found = disk.left(loss, seed=seed)["file"]
        assert found == b"new" if count == len(WRITTEN) else found in {b"old", b"new"}


@pytest.mark.parametrize(
    ("loss", "forgotten", "left"),
    [
        (Loss.FORGETS, "sync", b""),
        (Loss.REORDERS, "sync", b""),
        (Loss.FORGETS, "sync_folder", b"old"),
        (Loss.REORDERS, "sync_folder", b"new"),
    ],
)
def test_what_was_not_synced_is_lost(
    tmp_path: Path, loss: Loss, forgotten: str, left: bytes
) -> None:
    assert disk_with(tmp_path, *but(forgotten)).left(loss)["file"] == left


def test_some_loss_tears_what_was_appended(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, Change(kind="write", path="file", offset=3, data=b"er"))
    assert {disk.left(Loss.SOME, seed=n)["file"] for n in range(40)} == {b"old", b"olde", b"older"}


def test_a_synced_file_is_gone_with_the_name_of_its_folder(tmp_path: Path) -> None:
    disk = disk_with(
        tmp_path,
        Change(kind="mkdir", path="a"),
        Change(kind="create", path="a/b"),
        Change(kind="write", path="a/b", data=b"x"),
        Change(kind="sync", path="a/b"),
        Change(kind="sync_folder", path="a"),
    )
    assert disk.left(Loss.FORGETS) == {"file": b"old"}
    disk.apply(Change(kind="sync_folder", path=""))
    assert disk.left(Loss.FORGETS) == {"a": None, "a/b": b"x", "file": b"old"}


def test_what_was_removed_comes_back_until_its_folder_is_synced(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, Change(kind="remove", path="file"))
    assert disk.left(Loss.FORGETS) == {"file": b"old"}
    assert disk.left(Loss.REORDERS) == {}
    disk.apply(Change(kind="sync_folder", path=""))
    assert disk.left(Loss.FORGETS) == {}


def test_what_is_left_can_be_laid_out_and_read_again(tmp_path: Path) -> None:
    left: dict[str, Left] = {
        "current": Link("slot"),
        "slot": None,
        "slot/a": b"1",
        "slot/empty": None,
    }
    write_out(left, tmp_path / "disk")
    assert Disk.of(tmp_path / "disk").left(Loss.FORGETS) == left


def test_truncating_is_lost_without_a_sync(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, Change(kind="truncate", path="file", offset=1))
    assert disk.left(Loss.FORGETS) == {"file": b"old"}
    disk.apply(Change(kind="sync", path="file"))
    assert disk.left(Loss.FORGETS) == {"file": b"o"}


def test_a_name_in_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        disk_with(tmp_path, Change(kind="create", path="file/x"))
    with pytest.raises(IsADirectoryError):
        disk_with(tmp_path, Change(kind="mkdir", path="d"), Change(kind="sync", path="d"))
