"""From recordings to figures and gates."""

from collections.abc import Callable

import numpy as np
import pytest

from edgewright.contract import Budgets
from edgewright.evidence import Interval
from edgewright.measure import ProcessReading
from edgewright.measure.load_result import ANSWERED, LoadResult
from edgewright.validate.answers import AnswerCheck
from edgewright.validate.figures import (
    QUANTILES,
    UNITS,
    histogram,
    latency_figures,
    resource_figures,
    throughput_figure,
    timeline,
    warm_up_end_s,
)
from edgewright.validate.gates import answer_gates, budget_gates, unmeasured_budgets
from edgewright.validate.resources import MIB, ResourceSample, growth_figures

Make = Callable[..., LoadResult]


def sample(at_s: float, megabytes: float, *, cpu_s: float = 0.0) -> ResourceSample:
    size = int(megabytes * MIB)
    reading = ProcessReading(
        pid=1,
        rss_bytes=size * 2,
        pss_bytes=size,
        peak_rss_bytes=size * 2,
        cpu_s=cpu_s,
        threads=3,
        open_files=9,
    )
    return ResourceSample(at_s=at_s, reading=reading)


def test_quantiles_are_in_ms_with_their_intervals() -> None:
    figures = latency_figures(np.random.default_rng(0).exponential(0.010, 20_000))
    assert set(QUANTILES) < set(figures) <= set(UNITS)
    p95 = figures["latency p95"]
    assert p95.low is not None
    assert p95.high is not None
    assert p95.low < 29.96 < p95.high
    assert latency_figures(np.empty(0)) == {}


def test_throughput_is_answers_over_time_with_the_spread_of_its_blocks(recording: Make) -> None:
    figure = throughput_figure(recording(np.full(3000, 0.001)))
    assert figure.value == pytest.approx(300, rel=0.02)
    assert throughput_figure(recording(np.zeros(0))).value == 0.0


def test_the_timeline_holds_every_request_once(recording: Make) -> None:
    states = np.full(600, ANSWERED, np.uint8)
    states[300:] = 2
    slices = timeline(recording(np.full(600, 0.002), states=states))
    assert sum(one.answered for one in slices) == 300
    assert sum(one.failed for one in slices) == 300
    assert slices[-1].p95_ms is None
    assert slices[0].p50_ms == pytest.approx(2.0)


def test_the_histogram_holds_every_latency_once() -> None:
    bins = histogram(np.random.default_rng(0).lognormal(-6, 1, 5000))
    assert sum(bins.counts) == 5000
    assert len(bins.edges_ms) == len(bins.counts) + 1
    assert sum(histogram(np.full(10, 0.001)).counts) == 10
    assert histogram(np.empty(0)).counts == ()


def test_warm_up_is_cut_from_the_first_moments(recording: Make) -> None:
    latencies_s = np.random.default_rng(0).lognormal(-7, 0.2, 10_000)
    latencies_s[:500] *= 10
    _, after_s = warm_up_end_s(recording(latencies_s))
    assert after_s == pytest.approx(0.5, abs=0.35)
    assert after_s >= 0.45


def test_resources_are_peaks_and_costs_per_request() -> None:
    samples = [sample(0.0, 50, cpu_s=1.0), sample(5.0, 70, cpu_s=2.0), sample(10.0, 60, cpu_s=3.0)]
    figures = resource_figures(samples, 10_000)
    assert figures["server memory peak"].value == 70
    assert figures["server cpu per request"].value == pytest.approx(200)
    assert figures["server cores busy"].value == pytest.approx(0.2)
    assert resource_figures(samples[:1], 10) == {}


@pytest.mark.parametrize(("growth", "is_caught"), [(1.0, True), (0.0, False), (0.1, False)])
def test_a_leak_of_a_megabyte_a_minute_is_caught_within_its_noise(
    growth: float, is_caught: bool
) -> None:
    rng = np.random.default_rng(7)
    samples = [
        sample(at_s, 60 + growth * at_s / 60 + rng.normal(0, 0.15))
        for at_s in np.arange(0, 300, 0.5)
    ]
    figures = growth_figures(samples, rng=rng)
    gates = budget_gates(figures, Budgets(), is_open=True, is_offline=False)
    (gate,) = (gate for gate in gates if gate.name == "memory growth")
    assert gate.has_failed is is_caught
    assert gate.ok is not is_caught


def test_each_budget_becomes_a_gate_where_its_scenario_can_speak() -> None:
    figures = {
        "latency p95": Interval(10, 9, 11),
        "throughput": Interval(300, 290, 310),
        "server memory peak": Interval(60, 60, 60),
        "kept up": Interval(100, 100, 100),
    }
    budgets = Budgets(latency_p95_ms=50, throughput_rps=250, memory_mb=512)
    served = budget_gates(figures, budgets, is_open=True, is_offline=False)
    assert [gate.name for gate in served] == ["latency p95", "kept up", "server memory peak"]
    offline = budget_gates(figures, budgets, is_open=False, is_offline=True)
    assert [gate.name for gate in offline] == ["throughput", "server memory peak"]
    assert all(gate.ok for gate in served + offline)


def test_a_budget_that_was_not_measured_is_a_doubt() -> None:
    doubts = unmeasured_budgets(
        {}, Budgets(memory_mb=1, energy_mj=1, latency_p95_ms=1), is_offline=False
    )
    assert len(doubts) == 3


def test_one_wrong_answer_or_failure_is_too_many() -> None:
    check = AnswerCheck(checked=9, wrong=1, unchecked=0, distinct=1, is_compared=True)
    wrong, failed = answer_gates(check, failed=2)
    assert wrong.has_failed
    assert not wrong.timed
    assert failed.has_failed
    assert failed.timed
