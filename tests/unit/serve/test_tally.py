import re

import numpy as np
import pytest

from edgewright.device.serve.tally import LATENCY_BOUNDS_S, Exposition, Histogram, Tally


def test_quantiles_are_of_the_latest_requests() -> None:
    tally = Tally()
    tally.add_stages([(0.0, 9.0, 0.0, 0.0)] * 5000, 5000, 0.0)
    for ms in range(2048):
        tally.add_stages([(0.0, 0.0, ms / 1000, 0.0)], 1, 0.0)
    assert tally.quantiles_ms() == {"p50": 1023.0, "p95": 1945.0, "p99": 2027.0}
    assert tally.answered == 7048


def test_nothing_is_said_before_the_first_request() -> None:
    assert Tally().quantiles_ms() == {}


@pytest.mark.parametrize("latency_s", [0.0, 50e-6, 51e-6, 10.0, 11.0])
def test_every_latency_falls_into_the_bucket_that_holds_it(latency_s: float) -> None:
    tally = Tally()
    tally.add_stages([(latency_s, 0.0, 0.0, 0.0)], 1, 0.0)
    place = tally.requests.counts.tolist().index(1)
    lower = LATENCY_BOUNDS_S[place - 1] if place else -1.0
    upper = [*LATENCY_BOUNDS_S, float("inf")][place]
    assert lower < latency_s <= upper


def test_histogram_is_cumulative_and_ends_with_its_count() -> None:
    page = Exposition()
    found = Histogram((0.1, 1))
    found.add(np.array([0.05, 0.1, 7.35]))
    page.histogram("h", found, model="m")
    assert page.text().decode().splitlines() == [
        'h_bucket{model="m",le="0.1"} 2',
        'h_bucket{model="m",le="1"} 2',
        'h_bucket{model="m",le="+Inf"} 3',
        'h_sum{model="m"} 7.5',
        'h_count{model="m"} 3',
    ]


def test_labels_cannot_break_out_of_their_line() -> None:
    page = Exposition()
    page.sample("x", 10**12 + 1, model='a"}\n\\')
    text = page.text().decode()
    assert re.fullmatch(r'x\{model="a\\"\}\\n\\\\"\} 1000000000001\n', text)


def test_passes_and_single_requests_are_counted_alike() -> None:
    joined, single = Tally(), Tally()
    arrived_s = [0.0, 0.25, 0.5]
    joined.add_pass(arrived_s, (1.0, 1.5, 3.5, 3.75), 9.0)
    for moment_s in arrived_s:
        single.add_stages([(0.5, 1.0 - moment_s, 2.0, 0.25)], 1, 9.0)
    assert joined.requests.total == single.requests.total == 3 * 3.75 - 0.75
    for stage, histogram in single.stages.items():
        assert joined.stages[stage].counts.tolist() == histogram.counts.tolist(), stage
        assert joined.stages[stage].total == pytest.approx(histogram.total), stage
    assert joined.pass_rows.counts.tolist()[:4] == [0, 0, 1, 0]
    assert single.pass_rows.counts.tolist()[:2] == [3, 0]


def test_sums_grow_with_every_settlement() -> None:
    tally = Tally()
    for _ in range(5000):
        tally.add_pass([0.0], (0.0, 0.25, 0.5, 1.0), 0.0)
    assert (tally.requests.total, int(tally.requests.counts.sum())) == (5000.0, 5000)
    assert tally.stages["write"].total == 2500.0
