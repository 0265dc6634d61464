"""A slower version is accused, an equal one is not, and noise decides nothing."""

import numpy as np
import pytest

from edgewright.evidence.shift import Shift
from edgewright.validate.versus import judge_rounds, versus_verdict


def shifts(ratio: float, *, spread: float = 0.03, tail: float = 1.0) -> dict[str, Shift]:
    rng = np.random.default_rng(1)
    drift = rng.normal(0, 0.4, 40)

    def rounds(by: float) -> tuple[tuple[float, float], ...]:
        one, two = (np.exp(drift + rng.normal(0, spread, 40)) for _ in range(2))
        return tuple(zip(one.tolist(), (two * by).tolist(), strict=True))

    return {"latency p50": judge_rounds(rounds(ratio)), "latency p95": judge_rounds(rounds(tail))}


@pytest.mark.parametrize(
    ("ratio", "spread", "outcome"),
    [
        (1.0, 0.03, "VALID-PASS"),
        (0.8, 0.03, "VALID-PASS"),
        (1.1, 0.03, "VALID-FAIL"),
        (1.2, 0.05, "VALID-FAIL"),
        (1.0, 0.3, "INVALID"),
        (1.1, 0.3, "INVALID"),
    ],
)
def test_the_verdict_follows_the_bounds(ratio: float, spread: float, outcome: str) -> None:
    assert versus_verdict(shifts(ratio, spread=spread)).outcome == outcome


def test_a_tail_accuses_but_does_not_leave_undecided() -> None:
    assert versus_verdict(shifts(1.0, tail=1.5)).outcome == "VALID-FAIL"
    mixed = shifts(1.0)
    mixed["latency p95"] = shifts(1.0, spread=0.5)["latency p95"]
    assert versus_verdict(mixed).outcome == "VALID-PASS"


def test_nonsense_is_a_miss_however_fast_and_however_busy_the_machine() -> None:
    found = shifts(0.5)
    assert versus_verdict(found).outcome == "VALID-PASS"
    for doubts in ((), ("other processes used 60% of the cores",)):
        assert versus_verdict(found, doubts=doubts, wrong=1).outcome == "VALID-FAIL"


def test_a_spoilt_comparison_accuses_nobody() -> None:
    found = shifts(1.3)
    assert versus_verdict(found).outcome == "VALID-FAIL"
    spoilt = versus_verdict(found, doubts=("other processes used 60% of the cores",))
    assert (spoilt.outcome, spoilt.reasons) == (
        "INVALID",
        ("other processes used 60% of the cores",),
    )
