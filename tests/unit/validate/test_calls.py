"""The probe's verdict: the rules of `edgewright validate` on calls within a process."""

import msgspec
import numpy as np
import pytest

from edgewright.contract import Budgets
from edgewright.measure import Noise
from edgewright.validate.calls import Calls, judge_calls

BUSY = {"others_share": 0.9, "wait_share": 0.5}


def calls(noise: Noise, *, median_ms: float = 10.0, memory_mb: float = 80.0) -> Calls:
    rng = np.random.default_rng(3)
    latencies_s = 1e-3 * median_ms * np.exp(rng.normal(0, 0.1, 400))
    return Calls(latencies_s=latencies_s, memory_mb=memory_mb, noise=noise)


@pytest.mark.parametrize(
    ("budgets", "outcome", "word"),
    [
        (Budgets(), "VALID-PASS", ""),
        (Budgets(latency_p95_ms=20.0, memory_mb=100.0), "VALID-PASS", ""),
        (Budgets(latency_p95_ms=11.0), "VALID-FAIL", "latency p95"),
        (Budgets(latency_p95_ms=1.0), "VALID-FAIL", "quickest call"),
        (Budgets(memory_mb=70.0), "VALID-FAIL", "memory"),
        (Budgets(energy_mj=1.0), "INVALID", "energy"),
    ],
)
def test_budgets_are_held_on_a_quiet_machine(
    quiet: Noise, budgets: Budgets, outcome: str, word: str
) -> None:
    verdict = judge_calls(calls(quiet), budgets)
    assert verdict.outcome == outcome
    assert word in "; ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("budgets", "outcome"),
    [
        (Budgets(latency_p95_ms=20.0), "INVALID"),
        (Budgets(latency_p95_ms=11.0), "INVALID"),
        (Budgets(latency_p95_ms=1.0), "VALID-FAIL"),
        (Budgets(memory_mb=70.0), "VALID-FAIL"),
    ],
)
def test_a_busy_machine_refuses_only_what_it_cannot_explain(
    quiet: Noise, budgets: Budgets, outcome: str
) -> None:
    busy = msgspec.structs.replace(quiet, **BUSY)
    assert judge_calls(calls(busy), budgets).outcome == outcome


def test_the_calls_of_a_warm_up_do_not_count(quiet: Noise) -> None:
    warming = calls(quiet)
    slow_s = warming.latencies_s.copy()
    slow_s[:60] *= 5
    judged = Calls(latencies_s=slow_s, memory_mb=80.0, noise=quiet)
    assert judged.figures["latency p95"].value < 15
    assert judge_calls(judged, Budgets(latency_p95_ms=20.0)).outcome == "VALID-PASS"
