"""A slice of `make prove SUITE=serving_fuzz`."""

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

CHUNK = 1000


@pytest.fixture(scope="module")
def fuzz(project_root: Path) -> ModuleType:
    name = "_serving_fuzz"
    spec = importlib.util.spec_from_file_location(name, project_root / "bench" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_no_mutated_request_gets_a_500_or_hangs(fuzz: ModuleType, long_slice: Any) -> None:
    for first in long_slice.pick(range(0, 1_000_000, CHUNK), 10):
        found = asyncio.run(fuzz.drive(iter(range(first, first + CHUNK)), fuzz.Findings()))
        assert found.faults == []
        assert found.inputs == CHUNK
        assert found.statuses[200] > 50
