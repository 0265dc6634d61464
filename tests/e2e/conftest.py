"""Real commands in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

TIMEOUT_S = 100


@pytest.fixture
def edgewright(tmp_path: Path) -> Command:
    """Runs `edgewright ARGUMENTS` in the test's folder, `under` another program if asked."""

    def run(*arguments: object, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*under, sys.executable, "-m", "edgewright", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run


@pytest.fixture
def ray_environment(tmp_path: Path) -> dict[str, str]:
    """For a process that starts Ray, with a home of its own for Ray's token.

    Each of Ray's processes imports jsonschema, which imports `rfc3987_syntax` where that is
    installed. It takes seconds of CPU to import, comes with what tests compare to (extra
    `oracles`), and Ray's processes have 15 s to start: it is hidden from them.
    """
    home, hidden = tmp_path / "home", tmp_path / "hidden"
    home.mkdir()
    hidden.mkdir()
    (hidden / "rfc3987_syntax.py").write_text('raise ImportError("hidden")\n')
    return {**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(hidden)}
