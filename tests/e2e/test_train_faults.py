"""A slice of `make prove SUITE=train_faults`: kills at file-system calls of a training run."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def faults(project_root: Path) -> ModuleType:
    name = "_train_faults"
    spec = importlib.util.spec_from_file_location(name, project_root / "bench" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_any_call_ends_as_if_it_was_not(
    faults: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("absent: strace (Debian package strace)")
    archive = tmp_path / "people.npz"
    faults.write_archive(archive)
    expected = faults.whole(archive, tmp_path)
    found = faults.points(archive, tmp_path)
    assert sum("checkpoint" in point.path for point in found) > 4
    for point in long_slice.pick(found, 2):
        assert faults.killed_at(point, archive, tmp_path / "killed") == expected, point
