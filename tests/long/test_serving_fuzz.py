"""A slice of `make prove SUITE=serving_fuzz`."""

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

CHUNK = 1000


@pytest.fixture(scope="module")
def fuzz(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_serving_fuzz")


def test_no_mutated_request_gets_a_500_or_hangs(fuzz: ModuleType, long_slice: Any) -> None:
    for first in long_slice.pick(range(0, 1_000_000, CHUNK), 10):
        found = asyncio.run(fuzz.drive(iter(range(first, first + CHUNK)), fuzz.Findings()))
        assert found.faults == []
        assert found.inputs == CHUNK
        assert found.statuses[200] > 50
