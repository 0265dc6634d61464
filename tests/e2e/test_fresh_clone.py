"""`make setup` in a fresh clone, with real installers: cold, again, and after an interruption."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

QUICK_REPEAT_S = 5.0
"""Of CPU: other work on the machine does not make it slower."""
LIMIT_S = 600

pytestmark = [pytest.mark.long, pytest.mark.timeout(3 * LIMIT_S)]

NO_INDEX = "no package index answered"


@pytest.fixture
def clone(tmp_path: Path, project_root: Path) -> Path:
    for tool in ("git", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"absent: {tool}")
    if not (project_root / ".git").exists():
        pytest.skip("not a clone")
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project_root), str(folder)], check=True)
    return folder


def make_command(*targets: str) -> list[str]:
    base = getattr(sys, "_base_executable", sys.executable)
    return ["make", *targets, f"PYTHON={base}"]


def clean_environment() -> dict[str, str]:
    """This process's variables less those of its virtual environment and of an outer make."""
    drop = {"VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in drop}


def make(clone: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        make_command(*targets),
        cwd=clone,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if NO_INDEX in done.stderr:
        pytest.skip("absent: a package index")
    return done


def children_cpu_s() -> float:
    """What all children that have ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def interrupted_make(clone: Path, *targets: str, after_line: str) -> Sequence[str]:
    """Start make, press Ctrl-C when it has printed a line, and return what it printed."""
    with subprocess.Popen(
        make_command(*targets),
        cwd=clone,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        lines = []
        for line in child.stdout or ():
            lines.append(line)
            if after_line in line:
                os.killpg(child.pid, signal.SIGINT)
    assert child.returncode != 0
    return lines


def test_setup_works_is_quick_when_repeated_and_heals(clone: Path) -> None:
    lines = interrupted_make(clone, "setup", after_line="installing edgewright")
    assert any("interrupted" in line for line in lines), lines
    healed = make(clone, "setup")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert "ready in" in healed.stdout
    assert "WARNING" not in healed.stdout + healed.stderr
    start_s = children_cpu_s()
    again = make(clone, "setup")
    assert again.returncode == 0
    assert children_cpu_s() - start_s < QUICK_REPEAT_S
    version = [str(clone / ".venv/bin/edgewright"), "--version"]
    assert subprocess.run(version, capture_output=True, check=True).stdout
