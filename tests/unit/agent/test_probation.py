import pytest

from edgewright.device.agent.ports import ServingSample
from edgewright.device.agent.probation import ProbationLimits, judge

LIMITS = ProbationLimits(duration_s=60, error_rate=0.01, latency_p95_ms=50)
START = ServingSample(is_ready=True, requests=100, errors=0)


def verdict(now: ServingSample, *, elapsed_s: float = 10) -> str:
    return judge(START, now, elapsed_s=elapsed_s, limits=LIMITS).verdict


def ready(**numbers: float) -> ServingSample:
    return ServingSample(is_ready=True, **numbers)


def test_a_good_model_waits_for_the_end_and_passes() -> None:
    good = ready(requests=1100, errors=1, latency_p95_ms=20)
    assert verdict(good) == "wait"
    assert verdict(good, elapsed_s=60) == "pass"


def test_a_model_that_nobody_asks_passes_too() -> None:
    assert verdict(ready(requests=100), elapsed_s=60) == "pass"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (ServingSample(is_ready=False, reason="golden"), "not ready: golden"),
        (ready(requests=5), "restarted"),
        (ready(requests=300, errors=40), "40 of 200 requests failed"),
        (ready(requests=300, latency_p95_ms=51), "latency p95 is 51 ms, the limit is 50"),
    ],
)
def test_a_bad_model_is_refused_with_the_reason(now: ServingSample, reason: str) -> None:
    judgement = judge(START, now, elapsed_s=10, limits=LIMITS)
    assert judgement.verdict == "refuse"
    assert reason in judgement.reason


def test_one_failed_request_of_few_is_no_proof() -> None:
    assert verdict(ready(requests=105, errors=1)) == "wait"


def test_latency_is_judged_on_enough_requests_only() -> None:
    assert verdict(ready(requests=150, latency_p95_ms=500)) == "wait"


def test_no_latency_budget_means_no_latency_judgement() -> None:
    limits = ProbationLimits(duration_s=60)
    slow = ready(requests=9000, latency_p95_ms=9000)
    assert judge(START, slow, elapsed_s=1, limits=limits).verdict == "wait"
