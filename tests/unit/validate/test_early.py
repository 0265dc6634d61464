"""A run ends early when it decides, and not because it was looked at."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from edgewright.contract import Budgets
from edgewright.evidence import Interval
from edgewright.measure.load_result import ANSWERED, PENDING, LoadResult
from edgewright.validate import Order, ScenarioName
from edgewright.validate.early import (
    CONFIDENCE,
    Rule,
    is_leak,
    latency_side,
    rule_of,
    throughput_side,
)

Make = Callable[..., LoadResult]


def seen(rng: np.random.Generator, count: int, *, pending: int = 0) -> LoadResult:
    """Requests a millisecond apart with a p95 of 20 ms; the last of them still wait."""
    scheduled_s = np.arange(count) * 1e-3
    done_s = scheduled_s + rng.exponential(0.02 / np.log(20), count)
    states = np.full(count, ANSWERED, dtype=np.uint8)
    if pending:
        done_s[-pending:] = np.nan
        states[-pending:] = PENDING
    return LoadResult(
        scheduled_s=scheduled_s,
        sent_s=scheduled_s,
        done_s=done_s,
        lag_s=np.empty(0),
        states=states,
        errors={},
        refusals={},
        answers=({},),
        unkept=0,
        wall_s=count * 1e-3,
        client_cpu_s=0.0,
        started_wall_s=0.0,
        connections=1,
    )


def test_what_is_far_from_its_limit_is_decided_with_few_requests() -> None:
    result = seen(np.random.default_rng(1), 400)
    assert latency_side(result, now_s=0.4, limit_ms=60.0) == "kept"
    assert latency_side(result, now_s=0.4, limit_ms=8.0) == "missed"
    assert latency_side(result, now_s=0.4, limit_ms=20.0) == "open"


def test_too_few_requests_decide_nothing() -> None:
    rng = np.random.default_rng(2)
    assert latency_side(seen(rng, 60), now_s=0.06, limit_ms=1e6) == "open"
    assert latency_side(seen(rng, 400, pending=400), now_s=0.4, limit_ms=1e6) == "open"


def test_requests_that_still_wait_count_against_the_limit() -> None:
    """Half of them wait: those that were answered are no sample of them all."""
    result = seen(np.random.default_rng(3), 2000, pending=1000)
    assert latency_side(result, now_s=2.0, limit_ms=5000.0) == "open"
    assert latency_side(result, now_s=2.0, limit_ms=100.0) == "missed"


def test_requests_that_were_refused_do_not_count() -> None:
    result = seen(np.random.default_rng(4), 400)
    refused = msgspec.structs.replace(result, states=np.full(400, 2, dtype=np.uint8))
    assert latency_side(refused, now_s=0.4, limit_ms=60.0) == "open"


def test_looking_four_times_errs_as_seldom_as_one_look_may() -> None:
    """The limit is the p95 itself: whatever is decided is an error."""
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        whole = seen(rng, 2000)
        for count in (500, 1000, 1500, 2000):
            part = msgspec.structs.replace(
                whole,
                scheduled_s=whole.scheduled_s[:count],
                done_s=whole.done_s[:count],
                states=whole.states[:count],
            )
            if latency_side(part, now_s=count * 1e-3, limit_ms=20.0) != "open":
                wrong += 1
                break
    assert CONFIDENCE == 0.9875
    assert wrong <= 18  # 5 % of 200, and what chance adds once in a hundred times


def order(scenario: ScenarioName, *, stops: bool = True, **budgets: float) -> Order:
    return Order(
        model="m", scenario=scenario, subject="s", stops_early=stops, budgets=Budgets(**budgets)
    )


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (order("single-stream", latency_p95_ms=5), "latency"),
        (order("server", latency_p95_ms=5), "latency"),
        (order("server"), None),
        (order("offline", throughput_rps=5), "throughput"),
        (order("offline", latency_p95_ms=5), None),
        (order("soak", latency_p95_ms=5), "growth"),
        (order("soak", latency_p95_ms=5, stops=False), None),
    ],
)
def test_each_scenario_stops_by_what_it_is_about(asked: Order, rule: Rule | None) -> None:
    assert rule_of(asked) == rule


def test_a_throughput_decides_with_its_whole_interval() -> None:
    assert throughput_side(Interval(300, 260, 340), least_rps=250) == "kept"
    assert throughput_side(Interval(300, 240, 360), least_rps=250) == "open"
    assert throughput_side(Interval(200, 160, 240), least_rps=250) == "missed"
    assert throughput_side(Interval(0.0), least_rps=250) == "open"


def test_a_soak_ends_early_by_a_leak_and_never_because_there_was_none() -> None:
    assert is_leak(Interval(1.0, 0.6, 1.4), most=0.5)
    assert not is_leak(Interval(1.0, 0.4, 1.6), most=0.5)
    assert not is_leak(Interval(0.0, -0.1, 0.1), most=0.5)
    assert not is_leak(None, most=0.5)
