"""CI installs all parts, so there a skip for an absent one is a failure (tests/conftest.py)."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = """
import pytest

@pytest.mark.skipif(True, reason="absent: a marked part")
def test_marked(): ...

def test_called():
    pytest.skip("absent: a called part")

@pytest.fixture
def part():
    pytest.skip("absent: a fixture's part")

def test_fixture(part): ...

def test_other_reason():
    pytest.skip("no shared data beside this clone")

def test_passes(long_slice):
    assert long_slice.pick(range(100), 5) == long_slice.pick(range(100), 5)
"""


def run_pytest(folder: Path, project_root: Path, **environment: str) -> str:
    conftest = (project_root / "tests/conftest.py").read_text(encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_parts.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_absent_part_is_a_skip_on_a_laptop(tmp_path: Path, project_root: Path) -> None:
    assert "1 passed, 4 skipped" in run_pytest(tmp_path, project_root, EDGEWRIGHT_CI="")


def test_absent_part_is_a_named_failure_in_ci(tmp_path: Path, project_root: Path) -> None:
    output = run_pytest(tmp_path, project_root, EDGEWRIGHT_CI="1")
    assert "1 failed, 1 passed, 1 skipped, 2 errors" in output
    for part in ("a marked part", "a called part", "a fixture's part"):
        assert f"absent: {part}; CI installs all parts" in output


def test_slice_is_the_same_for_a_commit_and_differs_between_commits(long_slice: Any) -> None:
    of_commit = type(long_slice)
    cases = range(1000)
    assert of_commit("a").pick(cases, 20) == of_commit("a").pick(cases, 20)
    assert of_commit("a").pick(cases, 20) != of_commit("b").pick(cases, 20)
    assert of_commit("a").seed() != of_commit("b").seed()


def test_slice_keeps_order_and_never_asks_for_more_than_there_is(long_slice: Any) -> None:
    assert long_slice.pick("abc", 10) == ["a", "b", "c"]
    picked = long_slice.pick(range(1000), 20)
    assert len(picked) == 20
    assert picked == sorted(picked)
