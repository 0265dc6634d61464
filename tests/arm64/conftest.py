"""An emulated arm64 machine: tools/arm64_rootfs.py makes it when a test first asks."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import arm64_rootfs

Run = Callable[..., subprocess.CompletedProcess[str]]

MAKING_S = 1200
RUNNING_S = 1200


@pytest.fixture(scope="session")
def machine() -> Path:
    """The virtual environment whose interpreter is qemu, with this clone's code."""
    if lacking := arm64_rootfs.absent():
        pytest.skip(f"absent: {lacking}")
    done = subprocess.run(
        [sys.executable, arm64_rootfs.__file__],
        capture_output=True,
        text=True,
        check=False,
        timeout=MAKING_S,
    )
    if done.returncode != 0:
        pytest.skip(f"absent: an arm64 root in build/arm64 ({done.stderr.strip()[-300:]})")
    return arm64_rootfs.FOLDER / "venv"


@pytest.fixture
def python(machine: Path, project_root: Path) -> Run:
    """Runs `python ARGUMENTS` on that machine, in this clone's folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(machine / "bin" / "python"), *map(str, arguments)],
            cwd=project_root,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=RUNNING_S,
        )

    return run
