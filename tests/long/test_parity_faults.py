"""A slice of `make prove SUITE=parity`."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def parity(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_parity_faults")


def test_planted_faults_are_caught_and_their_nodes_named(
    parity: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    assert len(parity.FAULTS) == 30
    others = []
    for fault in long_slice.pick(parity.FAULTS, 15):
        report = parity.check_pair(*parity.plant(fault), tmp_path)
        assert not report.ok, fault.name
        assert report.divergence, fault.name
        others += [fault.name] if report.divergence.node != fault.node else []
    assert len(others) <= 3, others


def test_clean_conversions_raise_no_alarm(
    parity: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    pairs = parity.clean_pairs()
    assert len(pairs) == 50
    for name, reference, candidate in long_slice.pick(pairs, 20):
        report = parity.check_pair(reference, candidate, tmp_path)
        assert report.ok, (name, report.reasons)
