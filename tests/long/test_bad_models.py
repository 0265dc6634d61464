"""A slice of `make prove SUITE=bad_models`."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(280)]

RATE = 100.0


@pytest.fixture(scope="session")
def bad_models(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_bad_models")


def test_bad_models_end_on_the_old_one_and_no_request_fails(
    bad_models: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    kinds = long_slice.pick(sorted(bad_models.KINDS), 3)

    async def scene() -> list[str]:
        rig = bad_models.Rig(tmp_path, probation_s=8.0, rate=RATE)
        wrong = []
        async for verdict, witness in bad_models.run_all(rig, kinds, rate=RATE):
            wrong += bad_models.wrong_of(verdict, witness)
        return wrong

    assert asyncio.run(scene()) == []


def test_bad_neighbours_are_refused_and_no_request_fails(
    bad_models: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    kinds = long_slice.pick(["segfaulting", "hanging", "leaking", "nan_after_100"], 2)

    async def scene() -> list[str]:
        rig = bad_models.Rig(tmp_path, probation_s=8.0, rate=RATE)
        wrong = []
        async for verdict, witness in bad_models.run_all(rig, kinds, rate=RATE, name="neighbour"):
            wrong += bad_models.wrong_of(verdict, witness, active="")
        return wrong

    assert asyncio.run(scene()) == []
