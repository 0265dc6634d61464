"""A slice of `python bench/fleet.py kills`: SIGKILL of the fleet at random moments of rollouts."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

KILLS = 10


@pytest.fixture
def kills(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_fleet_kills")


def test_a_fleet_that_is_killed_anywhere_goes_on_whole(
    kills: ModuleType, long_slice: Any, tmp_path: Path
) -> None:
    (seed,) = long_slice.pick(range(1000), 1)
    found = kills.harness(tmp_path, times=KILLS, seed=seed)
    again = found.begun_again
    assert found == kills.Whole(kills=KILLS, rollouts=found.rollouts, begun_again=again)
    assert found.rollouts >= 1
