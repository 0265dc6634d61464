"""A child that stays, on scripts of the test's own."""

import os
import time
from pathlib import Path

import pytest

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.child_venv import Child, asked_child

HERE = Child(name="here", module="msgspec")


def script(folder: Path, *lines: str) -> str:
    """Of a child, by its whole path."""
    path = folder / "child.py"
    path.write_text("\n".join(["import os, pathlib, sys, time", *lines]))
    return str(path)


def test_a_child_that_stays_answers_each_question(tmp_path: Path) -> None:
    told = script(
        tmp_path,
        "kept = pathlib.Path('kept').read_bytes()",
        "for _ in sys.stdin:",
        "    asked = pathlib.Path('question.npz').read_bytes()",
        "    pathlib.Path('answer.npz').write_bytes(kept + asked + sys.argv[1].encode())",
        "    print('answered', flush=True)",
    )
    with asked_child(HERE, told, {"kept": b"k"}, arguments=("z",), timeout_s=60) as ask:
        assert [ask(b"1"), ask(b"2")] == [b"k1z", b"k2z"]


def test_the_last_words_of_a_child_that_ended_are_told(tmp_path: Path) -> None:
    told = script(tmp_path, "sys.exit('ValueError: no such library')")
    with (
        asked_child(HERE, told, {}, timeout_s=60) as ask,
        pytest.raises(UnavailableError, match=r"ValueError: no such library \(exit code 1\)"),
    ):
        ask(b"")


def test_a_child_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    told = script(tmp_path, f"pathlib.Path({str(pid)!r}).symlink_to(str(os.getpid()))",
                  "time.sleep(600)")  # fmt: skip
    with asked_child(HERE, told, {}, timeout_s=0.2) as ask:
        while not pid.is_symlink():
            time.sleep(0.01)
        with pytest.raises(UnavailableError, match=r"did not answer within 0\.2 s"):
            ask(b"")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.readlink().name), 0)
