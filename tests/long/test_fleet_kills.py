"""A slice of `python bench/fleet.py kills`: SIGKILL of the fleet at random moments of rollouts."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

KILLS = 10


@pytest.fixture
def kills(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(project_root / "bench")
    module = importlib.import_module("_fleet_kills")
    yield module
    for name in ("_fleet_kills", "_fleet"):
        sys.modules.pop(name, None)


def test_a_fleet_that_is_killed_anywhere_goes_on_whole(
    kills: ModuleType, long_slice: Any, tmp_path: Path
) -> None:
    (seed,) = long_slice.pick(range(1000), 1)
    found = kills.harness(tmp_path, times=KILLS, seed=seed)
    again = found.begun_again
    assert found == kills.Whole(kills=KILLS, rollouts=found.rollouts, begun_again=again)
    assert found.rollouts >= 1
