"""A slice of `make prove SUITE=train_faults`: kills at file-system calls of a training run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def faults(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_train_faults")


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_any_call_ends_as_if_it_was_not(
    faults: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("absent: strace (Debian package strace)")
    archive = tmp_path / "people.npz"
    faults.write_archive(archive)
    with faults.warm_trainer(archive) as trainer:
        expected = trainer.whole(tmp_path / "whole")
        found = trainer.points(tmp_path)
        assert sum("checkpoint" in point.path for point in found) > 4
        for point in long_slice.pick(found, 6):
            assert trainer.killed_at(point, tmp_path / "killed") == expected, point
