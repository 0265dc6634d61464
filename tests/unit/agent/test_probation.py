import pytest

from edgewright.device.agent.ports import Answer, ServingSample
from edgewright.device.agent.probation import (
    Judgement,
    ProbationLimits,
    Watch,
    baseline_of,
    judge,
)
from edgewright.device.agent.progress import Baseline

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


def watched(*answers: Answer, baseline: Baseline | None = None) -> Watch:
    watch = Watch(baseline)
    for answer in answers:
        watch.add(answer)
    return watch


OLD = Baseline(requests=1000, errors=1, answers=60, median_ms=10, p95_ms=14)
RIGHT = Answer(latency_ms=10)


def with_watch(watch: Watch, *, elapsed_s: float) -> Judgement:
    return judge(START, START, elapsed_s=elapsed_s, limits=LIMITS, watch=watch)


def test_nothing_passes_unseen() -> None:
    watch = watched(*[RIGHT] * 19)
    assert with_watch(watch, elapsed_s=61).verdict == "wait"
    assert "only 19 golden" in with_watch(watch, elapsed_s=121).reason
    assert with_watch(watched(*[RIGHT] * 20), elapsed_s=61).verdict == "pass"


def test_a_wrong_golden_answer_refuses_at_once() -> None:
    watch = watched(RIGHT, Answer(problem="off by 3", is_wrong=True), RIGHT)
    assert "off by 3" in with_watch(watch, elapsed_s=1).reason


def test_lost_answers_refuse_only_in_a_row() -> None:
    lost = Answer(problem="timeout")
    assert with_watch(watched(lost, lost, RIGHT, lost), elapsed_s=1).verdict == "wait"
    assert with_watch(watched(RIGHT, lost, lost, lost), elapsed_s=1).verdict == "refuse"


@pytest.mark.parametrize(
    ("latency_ms", "is_refused"), [(10.0, False), (14.0, False), (15.5, True), (20.0, True)]
)
def test_the_median_is_compared_with_the_old_one(latency_ms: float, is_refused: bool) -> None:
    watch = watched(*[Answer(latency_ms=latency_ms)] * 100, baseline=OLD)
    assert (with_watch(watch, elapsed_s=61).verdict == "refuse") is is_refused


def test_slowness_is_noticed_before_the_end_of_a_long_watch() -> None:
    limits = ProbationLimits(duration_s=86400)
    watch = watched(*[Answer(latency_ms=20)] * 400, baseline=OLD)
    judgement = judge(START, START, elapsed_s=400, limits=limits, watch=watch)
    assert judgement.verdict == "refuse"
    assert "20 of 20 blocks" in judgement.reason


def test_a_burst_refuses_nobody() -> None:
    burst = [Answer(latency_ms=50)] * 80
    watch = watched(*[RIGHT] * 60, *burst, *[RIGHT] * 160, baseline=OLD)
    assert with_watch(watch, elapsed_s=61).verdict == "pass"


def test_a_difference_below_the_slack_is_none() -> None:
    tiny = Baseline(answers=60, median_ms=0.2, p95_ms=0.3)
    watch = watched(*[Answer(latency_ms=0.9)] * 200, baseline=tiny)
    assert with_watch(watch, elapsed_s=61).verdict == "pass"


def test_without_old_figures_no_latency_is_slow() -> None:
    watch = watched(*[Answer(latency_ms=900)] * 200)
    assert with_watch(watch, elapsed_s=61).verdict == "pass"


def test_a_baseline_leaves_lost_answers_and_bursts_out() -> None:
    quiet = [Answer(latency_ms=number) for number in range(1, 21)]
    burst = [Answer(latency_ms=900)] * 20
    baseline = baseline_of([*quiet, Answer(problem="lost"), *burst, *quiet], START)
    assert (baseline.answers, baseline.median_ms, baseline.p95_ms) == (60, 10.5, 20)
    assert baseline_of([], START) == Baseline(requests=100)


@pytest.mark.parametrize(("duration_s", "pace_s"), [(0, 0.02), (60, 0.2), (86400, 1.0)])
def test_the_pace_fits_the_probation(duration_s: float, pace_s: float) -> None:
    assert ProbationLimits(duration_s=duration_s).pace_s == pace_s
