"""What no committed file may hold: registry addresses and folders of somebody's machine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REGISTRY = re.compile(rb"https?://[^\s\"')]*(?:pypi|pythonhosted|/simple\b|/whl/)")
LARGEST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def contents(project_root: Path) -> dict[str, bytes]:
    if not (project_root / ".git").exists():
        pytest.skip("not a clone")
    if shutil.which("git") is None:
        pytest.skip("absent: git")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project_root, capture_output=True, text=True, check=True
    )
    files = [name for name in listed.stdout.split("\0") if name]
    return {
        name: (project_root / name).read_bytes()
        for name in files
        if (project_root / name).is_file()
    }


def test_no_file_names_a_registry(contents: dict[str, bytes]) -> None:
    tests = "tests/unit/tools/"
    named = {
        name
        for name, content in contents.items()
        if REGISTRY.search(content) and not name.startswith(tests)
    }
    assert named == set()


def test_pins_hold_versions_only(contents: dict[str, bytes]) -> None:
    lines = contents["constraints.txt"].decode().splitlines()
    pin = re.compile(r"[a-z0-9-]+==[\w.]+( ; .+)?")
    assert [line for line in lines if not pin.fullmatch(line)] == []


def test_no_file_names_this_checkout_or_home(
    contents: dict[str, bytes], project_root: Path
) -> None:
    folders = {f"{folder}/".encode() for folder in (project_root, Path.home())}
    named = {
        name for name, content in contents.items() if any(folder in content for folder in folders)
    }
    assert named == set()


def test_no_file_is_large(contents: dict[str, bytes]) -> None:
    large = {name for name, content in contents.items() if len(content) > LARGEST_BYTES}
    assert large == set()
