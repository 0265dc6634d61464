"""Interleaved timing ranks callables by their work, not by their turn."""

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.measure.latency import LatencySamples, interleaved


def test_every_callable_runs_once_a_round_after_the_warm_up() -> None:
    calls: list[str] = []
    samples = interleaved(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        rounds=7,
        warm_up_rounds=3,
        rng=np.random.default_rng(0),
    )
    assert samples.rounds == 7
    assert calls.count("a") == calls.count("b") == 10
    assert calls[6:] != ["a", "b"] * 7


def test_the_ratio_of_medians_has_an_interval_around_it() -> None:
    rng = np.random.default_rng(0)
    base = rng.lognormal(0, 0.2, 400)
    samples = LatencySamples(seconds={"slow": base * 1.3, "fast": base})
    ratio = samples.ratio("slow", "fast", rng=rng)
    assert ratio.value == pytest.approx(1.3)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= 1.3 <= ratio.high


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(InputError):
        interleaved({}, rng=np.random.default_rng(0))
