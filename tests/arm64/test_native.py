"""The hot path in C, compiled for arm64 and run there by tests of the server without processes."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.arm64.conftest import Run

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(900)]

COMPILER = "aarch64-linux-gnu-gcc"
TESTS = (
    "tests/unit/serve/test_native.py",
    "tests/unit/serve/test_lane.py",
    "tests/unit/serve/test_cost.py",
    "tests/unit/transports/test_http1_server.py",
)


@pytest.fixture
def native(machine: Path, project_root: Path, tmp_path: Path) -> Path:
    """A folder with the part in C."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"absent: {COMPILER} (Debian package gcc-aarch64-linux-gnu)")
    root = machine.parent / "rootfs"
    (headers,) = (root / "usr" / "include").glob("python3*")
    words = [COMPILER, f"--sysroot={root}", "-shared", "-fPIC", "-O2", "-std=c11", "-Wall"]
    words += ["-Wextra", "-Werror", "-ffp-contract=off", f"-I{headers}", f"-I{headers.parent}"]
    sources = sorted(map(str, (project_root / "native" / "src").glob("*.c")))
    library = tmp_path / "edgewright_native.so"
    subprocess.run([*words, *sources, "-o", str(library)], check=True)
    return tmp_path


def test_hot_path_in_c_answers_as_the_one_in_python(
    python: Run, native: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(native))
    monkeypatch.setenv("EDGEWRIGHT_HOT_PATH", "native")
    done = python("-m", "pytest", "-n0", "-p", "no:cacheprovider", "--timeout=600", "-q", *TESTS)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout.splitlines()[-1]
    assert "skipped" not in done.stdout.splitlines()[-1]
