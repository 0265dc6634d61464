"""Sittings put together."""

import numpy as np
import pytest

from edgewright.evidence import Interval
from edgewright.workbench.optimize.place import Measured, together


def sitting(ratio: float, *, width: float = 0.001) -> Measured:
    interval = Interval(ratio, ratio - width, ratio + width)
    return Measured(ratio=interval, latency_ms=ratio, rounds=50)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_one_lucky_session_decides_nothing() -> None:
    """Each sitting is sure of itself; that they differ is what the interval tells."""
    found = together([sitting(ratio) for ratio in (1.0, 0.96, 1.04, 0.97, 1.03, 1.0)], rng=rng())

    assert found.ratio
    assert found.ratio.value == pytest.approx(1.0, abs=0.01)
    assert found.ratio.low is not None
    assert found.ratio.high is not None
    assert found.ratio.low < 0.985
    assert found.ratio.high > 1.015
    assert found.rounds == 300


def test_what_is_faster_in_every_sitting_is_shown_to_be() -> None:
    found = together([sitting(ratio) for ratio in (0.96, 0.94, 0.98, 0.95, 0.97, 0.96)], rng=rng())

    assert found.ratio
    assert found.ratio.high is not None
    assert found.ratio.high < 1.0


def test_a_sitting_alone_keeps_its_own_interval() -> None:
    assert together([sitting(0.5)], rng=rng()) == sitting(0.5)


def test_what_failed_in_one_sitting_was_not_measured() -> None:
    found = together([sitting(0.5), Measured(reason="no answer"), sitting(0.5)], rng=rng())

    assert found.reason == "no answer"
