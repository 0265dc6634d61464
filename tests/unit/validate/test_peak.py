"""The search for the peak on a server of known capacity, and what its end is worth."""

import asyncio

import pytest

from edgewright.evidence import decide
from edgewright.validate.peak import PeakSearch, PeakStep, find_peak, peak_doubts, peak_gates


def searched(capacity_rps: float, *, start_rps: float = 64.0) -> PeakSearch:
    async def trial(rate_rps: float, _seconds: float) -> PeakStep:
        return PeakStep(rate_rps=rate_rps, p95_ms=1.0, kept=rate_rps <= capacity_rps)

    return asyncio.run(find_peak(trial, start_rps=start_rps, step_s=0.1))


@pytest.mark.parametrize("capacity_rps", [70.0, 300.0, 5000.0])
def test_the_peak_is_bracketed_closely(capacity_rps: float) -> None:
    peak = searched(capacity_rps).peak
    assert peak.low is not None
    assert peak.high is not None
    assert peak.low <= capacity_rps < peak.high < peak.low * 1.03


@pytest.mark.parametrize(
    ("capacity_rps", "asked_rps", "outcome"),
    [
        (300.0, 250.0, "VALID-PASS"),
        (300.0, 350.0, "VALID-FAIL"),
        (10.0, 250.0, "VALID-FAIL"),
        (1e9, 250.0, "VALID-PASS"),
        (10.0, 50.0, "INVALID"),
    ],
)
def test_the_peak_is_held_against_the_throughput_that_is_asked_for(
    capacity_rps: float, asked_rps: float, outcome: str
) -> None:
    search = searched(capacity_rps)
    verdict = decide(peak_gates(search, asked_rps), unsound=peak_doubts(search, asked_rps))
    assert verdict.outcome == outcome


@pytest.mark.parametrize(("capacity_rps", "word"), [(10.0, "first rate"), (1e9, "every rate")])
def test_a_search_without_an_end_is_a_doubt_where_nothing_is_asked_for(
    capacity_rps: float, word: str
) -> None:
    search = searched(capacity_rps)
    assert peak_gates(search, None) == ()
    assert word in peak_doubts(search, None)[0]
