import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright import _fs
from edgewright.errors import InputError, ResourceError


class _CutError(Exception):
    """Stands for whatever ends a write in the middle."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomic_replaces_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    _fs.write_atomic(path, b"one")
    _fs.write_atomic(path, [b"t", b"wo"], mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == ["file"]


def test_folders_are_made_with_their_parents_and_may_be_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    assert _fs.make_dirs(folder) == _fs.make_dirs(folder) == folder
    assert folder.is_dir()


def test_no_folder_is_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises((InputError, ResourceError), match="file"):
            _fs.make_dirs(path)
    assert names(tmp_path) == ["file"]


def test_no_folder_is_made_in_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises((InputError, ResourceError), match="below"):
        _fs.make_dirs(Path("below"))


def test_write_atomic_keeps_the_old_content_when_cut_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "file"
    _fs.write_atomic(path, b"old")

    def chunks() -> object:
        yield b"half"
        raise _CutError

    with pytest.raises(_CutError):
        _fs.write_atomic(path, chunks())
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_atomic_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def cut() -> None:
        with _fs.atomic_folder(tmp_path / "slot") as temp:
            _fs.write_atomic(temp / "a", b"1")
            raise _CutError

    with pytest.raises(_CutError):
        cut()
    assert names(tmp_path) == []
    with _fs.atomic_folder(tmp_path / "slot") as temp:
        _fs.write_atomic(temp / "a", b"1")
        assert names(tmp_path) == [temp.name]
    assert (tmp_path / "slot" / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["slot"]


def test_swap_symlink_points_elsewhere_and_leaves_no_temp(tmp_path: Path) -> None:
    link = tmp_path / "current"
    _fs.swap_symlink(link, "a")
    _fs.swap_symlink(link, "b")
    assert link.readlink() == Path("b")
    assert names(tmp_path) == ["current"]


def test_remove_leftovers_takes_temp_names_only(tmp_path: Path) -> None:
    (tmp_path / ".tmp-abc").write_bytes(b"")
    (tmp_path / ".tmp-dir").mkdir()
    (tmp_path / ".tmp-dir" / "x").write_bytes(b"")
    (tmp_path / "kept").write_bytes(b"")
    assert _fs.remove_leftovers(tmp_path) == [".tmp-abc", ".tmp-dir"]
    assert names(tmp_path) == ["kept"]
    assert _fs.remove_leftovers(tmp_path / "absent") == []


def test_remove_tree_takes_files_folders_and_links_but_not_their_targets(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("folder", "link", "never-there"):
        _fs.remove_tree(tmp_path / name)
    assert names(tmp_path) == ["target"]


def test_read_limited_refuses_what_is_larger(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert _fs.read_limited(tmp_path / "file", limit_bytes=5) == b"12345"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        _fs.read_limited(tmp_path / "file", limit_bytes=4)


@pytest.mark.parametrize(
    ("code", "branch", "words"),
    [
        (errno.ENOSPC, ResourceError, "disk is full"),
        (errno.EDQUOT, ResourceError, "quota is used up"),
        (errno.EACCES, ResourceError, "permission denied"),
        (errno.EROFS, ResourceError, "read-only"),
        (errno.ENOENT, InputError, "no such file"),
        (errno.EEXIST, InputError, "in the way"),
        (errno.EISDIR, InputError, "it is a folder"),
        (errno.ENOTDIR, InputError, "is a file, not a folder"),
        (errno.EIO, ResourceError, "check the disk"),
    ],
)
def test_os_errors_say_who_must_act(code: int, branch: type[Exception], words: str) -> None:
    with (
        pytest.raises(branch, match=words) as caught,
        _fs.file_errors(Path("/data/x"), doing="writing"),
    ):
        raise OSError(code, os.strerror(code))
    assert "/data/x" in str(caught.value)


def test_missing_file_and_file_as_folder_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        _fs.read_limited(tmp_path / "absent", limit_bytes=1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((InputError, ResourceError), match="in the way"):
        _fs.write_atomic(tmp_path / "file" / "below", b"")


def test_an_appended_file_is_made_once_and_grows_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log"
    for piece in (b"one", b"two"):
        with _fs.appended_file(path, mode=0o600) as file:
            file.write(piece)
    assert path.read_bytes() == b"onetwo"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_cut_append_keeps_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    _fs.write_atomic(path, b"old")

    def cut() -> None:
        with _fs.appended_file(path) as file:
            file.write(b"half")
            raise _CutError

    with pytest.raises(_CutError):
        cut()
    assert path.read_bytes() == b"oldhalf", "readers must tell the part that was cut"


def test_truncate_cuts_the_end_off(tmp_path: Path) -> None:
    path = tmp_path / "log"
    _fs.write_atomic(path, b"wholehalf")
    _fs.truncate(path, 5)
    assert path.read_bytes() == b"whole"
    with pytest.raises(InputError, match="no such file"):
        _fs.truncate(tmp_path / "absent", 0)


def test_move_replaces_what_had_the_name(tmp_path: Path) -> None:
    _fs.write_atomic(tmp_path / "a", b"new")
    _fs.write_atomic(tmp_path / "b", b"old")
    _fs.move(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"new"
    with pytest.raises(InputError, match="no such file"):
        _fs.move(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("make", [_fs.atomic_file, _fs.atomic_folder])
def test_an_interrupt_right_after_making_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Any]
) -> None:
    """Python sees a signal after the call that it came in: here, before the name is handed on."""
    seen: list[Any] = []

    def interrupted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(path: Any, *arguments: Any, **options: Any) -> Any:
            given = call(path, *arguments, **options)
            if Path(path).name.startswith(".tmp-") and not seen:
                seen.append(path)
                raise KeyboardInterrupt
            return given

        return made

    for name in ("open", "mkdir"):
        monkeypatch.setattr(os, name, interrupted(getattr(os, name)))
    with pytest.raises(KeyboardInterrupt), make(tmp_path / "whole"):
        pass
    monkeypatch.undo()
    assert seen
    assert names(tmp_path) == []


def test_two_names_of_a_file_are_one_and_what_is_not_there_is_no_file(tmp_path: Path) -> None:
    first, link, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    assert not _fs.is_same_file(first, first)
    first.write_text("x")
    assert not _fs.is_same_file(first, other)
    other.write_text("x")
    link.symlink_to(first)
    assert _fs.is_same_file(first, link)
    assert not _fs.is_same_file(first, other)


def test_a_place_that_no_file_can_be_written_to_is_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _fs.check_place(tmp_path / "file")
    _fs.check_place(tmp_path / "new" / "folder" / "file")
    assert names(tmp_path) == ["file"]
    for path, what in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "below", "a part of the path is a file"),
    ):
        with pytest.raises(InputError, match=what):
            _fs.check_place(path)
