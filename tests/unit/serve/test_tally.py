import re

import pytest

from edgewright.device.serve.tally import LATENCY_BOUNDS_S, Exposition, Tally


def test_quantiles_are_of_the_latest_requests() -> None:
    tally = Tally()
    tally.add([9.0] * 5000)
    for ms in range(2048):
        tally.add([ms / 1000])
    assert tally.quantiles_ms() == {"p50": 1023.0, "p95": 1945.0, "p99": 2027.0}
    assert tally.answered == 7048


def test_nothing_is_said_before_the_first_request() -> None:
    assert Tally().quantiles_ms() == {}


@pytest.mark.parametrize("latency_s", [0.0, 50e-6, 51e-6, 10.0, 11.0])
def test_every_latency_falls_into_the_bucket_that_holds_it(latency_s: float) -> None:
    tally = Tally()
    tally.add([latency_s])
    place = tally.buckets.index(1)
    lower = LATENCY_BOUNDS_S[place - 1] if place else -1.0
    upper = [*LATENCY_BOUNDS_S, float("inf")][place]
    assert lower < latency_s <= upper


def test_histogram_is_cumulative_and_ends_with_its_count() -> None:
    page = Exposition()
    page.histogram("h", [0.1, 1], [2, 0, 1], total=7.5, model="m")
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
