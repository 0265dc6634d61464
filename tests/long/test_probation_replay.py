"""A slice of `make prove SUITE=probation`, without the times that are recorded there."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def probations(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_probation")


def test_good_updates_pass(probations: ModuleType, long_slice: Any) -> None:
    numbers = long_slice.pick(range(1000), 120)
    refused = [why for n in numbers if (why := probations.good_refused(n, probations.MACHINES))]
    assert len(refused) <= 1, refused


def test_bad_updates_do_not_survive(probations: ModuleType, long_slice: Any) -> None:
    numbers = long_slice.pick(range(200), 60)
    passed = [what for n in numbers if (what := probations.bad_passed(n, probations.MACHINES))]
    assert passed == []
