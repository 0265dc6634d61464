"""The rule of probation: samples of a served model and its golden answers in, go on waiting or a
verdict out. Pure.

Four things are watched. A wrong golden answer, or three in a row that do not come, refuse at once.
Errors of the live traffic are judged by sequential tests against a limit and against what the old
model did. Answers are gathered in blocks; a block is slow when its median, or a quarter of it, lies
far above the old model's figures, and many slow blocks refuse: one burst of a busy machine fills
few blocks.
"""

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from edgewright.device.agent.ports import Answer, CandidateSample, ServingSample
from edgewright.device.agent.progress import Baseline
from edgewright.evidence import RateContest, RateWatch

FALSE_ALARM = 1e-4
WORST_ERROR_RATIO = 2.0
BLOCK = 20
SLOW_MEDIAN = 1.5
SLOW_TAIL = 2.0
TAIL_OF_BLOCK = BLOCK // 4
SLACK_MS = 1.0
SLOW_BLOCKS_LIMIT = 1 / 3
BLOCKS_LEAST = 5
UNANSWERED_MOST = 3
GRACE_S = 60.0
COMPARED_LEAST = 40


class ProbationLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a new model must keep while it is watched. No latency is compared to the budget on fewer
    than `minimum_latencies` requests, and nothing passes on fewer golden answers than
    `minimum_answers`.
    """

    duration_s: float
    error_rate: float = 0.01
    latency_p95_ms: float | None = None
    minimum_latencies: int = 100
    minimum_answers: int = BLOCK

    @property
    def pace_s(self) -> float:
        """How often a golden request is due: seldom in a long probation, enough in a short one."""
        return min(1.0, max(0.02, self.duration_s / 300))


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, and why."""

    verdict: Literal["wait", "pass", "refuse"]
    reason: str = ""


class Watch:
    """The golden answers of a candidate so far, as totals beside the old model's figures."""

    def __init__(self, baseline: Baseline | None = None) -> None:
        self.baseline = baseline or Baseline()
        self.answers = 0
        self.unanswered = 0
        self.problem = ""
        self.is_wrong = False
        self.blocks = 0
        self.slow_blocks = 0
        self._block: list[float] = []

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        self.problem = answer.problem or self.problem
        self.is_wrong = self.is_wrong or answer.is_wrong
        self.unanswered = self.unanswered + 1 if answer.problem else 0
        if answer.problem:
            return
        self.answers += 1
        self._block.append(answer.latency_ms)
        if len(self._block) == BLOCK:
            self.blocks += 1
            self.slow_blocks += self._is_slow(self._block)
            self._block = []

    def _is_slow(self, block: Sequence[float]) -> bool:
        old = self.baseline
        if not old.answers:
            return False
        far_ms = max(SLOW_TAIL * old.p95_ms, old.p95_ms + SLACK_MS) + old.overhead_ms
        slow_ms = max(SLOW_MEDIAN * old.median_ms, old.median_ms + SLACK_MS) + old.overhead_ms
        tail = sum(latency_ms > far_ms for latency_ms in block)
        return tail >= TAIL_OF_BLOCK or statistics.median(block) > slow_ms


def baseline_of(answers: Sequence[Answer], sample: ServingSample) -> Baseline:
    """The figures of the model that is served now, from its golden answers and its counters. Of the
    answers the quieter two thirds of the blocks count: a burst of a busy machine would hide a slow
    candidate.
    """
    times_ms = [answer.latency_ms for answer in answers if not answer.problem]
    if not times_ms:
        return Baseline(requests=sample.requests, errors=sample.errors)
    blocks = [times_ms[start : start + BLOCK] for start in range(0, len(times_ms), BLOCK)]
    blocks.sort(key=statistics.median)
    quiet_ms = sorted(time for block in blocks[: -(-2 * len(blocks) // 3)] for time in block)
    return Baseline(
        requests=sample.requests,
        errors=sample.errors,
        answers=len(times_ms),
        median_ms=statistics.median(blocks[0]),
        p95_ms=quiet_ms[min(len(quiet_ms) - 1, int(0.95 * len(quiet_ms)))],
    )


def judge(
    first: ServingSample,
    now: ServingSample,
    *,
    elapsed_s: float,
    limits: ProbationLimits,
    watch: Watch | None = None,
    candidate: CandidateSample | None = None,
) -> Judgement:
    """Compare the newest sample and the golden answers with the first sample and the limits. A
    candidate in a process of its own may not fail once: the old model answered what it did not.

    >>> limits = ProbationLimits(duration_s=60)
    >>> start = ServingSample(is_ready=True)
    >>> now = ServingSample(is_ready=True, requests=500)
    >>> judge(start, now, elapsed_s=61, limits=limits).verdict
    'pass'
    >>> judge(start, now, elapsed_s=61, limits=limits, watch=Watch()).verdict
    'wait'
    """
    requests, errors = now.requests - first.requests, now.errors - first.errors
    if not now.is_ready:
        return _refuse(f"not ready: {now.reason or 'no reason given'}")
    if requests < 0:
        return _refuse("the server restarted by itself")
    reason = (
        (why_candidate(candidate) if candidate else "")
        or _why_errors(requests, errors, limits, watch)
        or _why_over_budget(requests, now.latency_p95_ms, limits)
        or (_why_answers(watch) if watch else "")
    )
    if reason:
        return _refuse(reason)
    if elapsed_s < limits.duration_s:
        return Judgement(verdict="wait")
    return _at_the_end(
        f"{requests} requests in {elapsed_s:.0f} s, {errors} failed",
        elapsed_s=elapsed_s,
        limits=limits,
        watch=watch,
    )


def why_candidate(sample: CandidateSample) -> str:
    """Why a candidate beside the old model is refused, "" when it is not.

    >>> why_candidate(CandidateSample(asked=9, failed=1, problem="no answer within 1 s (1 x hang)"))
    'the old model had to answer 1 of 9 requests: no answer within 1 s (1 x hang)'
    """
    if sample.failed:
        return (
            f"the old model had to answer {sample.failed} of {sample.asked} requests: "
            f"{sample.problem}"
        )
    old_ms = sample.old_run_p50_ms
    if sample.compared >= COMPARED_LEAST and sample.run_p50_ms > max(
        SLOW_MEDIAN * old_ms, old_ms + SLACK_MS
    ):
        return (
            f"on {sample.compared} mirrored requests it takes {sample.run_p50_ms:.3g} ms, the old "
            f"model {old_ms:.3g} ms"
        )
    return ""


def _why_errors(requests: int, errors: int, limits: ProbationLimits, watch: Watch | None) -> str:
    limit = RateWatch(limit_rate=limits.error_rate, false_alarm=FALSE_ALARM)
    if limit.judge(events=errors, trials=requests) == "bad":
        return f"{errors} of {requests} requests failed, the limit is {limits.error_rate:.2%}"
    old = watch.baseline if watch else Baseline()
    contest = RateContest(worst_ratio=WORST_ERROR_RATIO, false_alarm=FALSE_ALARM)
    judgement = contest.judge(
        old_events=old.errors, old_trials=old.requests, new_events=errors, new_trials=requests
    )
    if judgement == "bad":
        return (
            f"{errors} of {requests} requests failed, of the old model {old.errors} of "
            f"{old.requests}"
        )
    return ""


def _why_over_budget(requests: int, latency_p95_ms: float, limits: ProbationLimits) -> str:
    limit_ms = limits.latency_p95_ms
    if not limit_ms or requests < limits.minimum_latencies or latency_p95_ms <= limit_ms:
        return ""
    return f"latency p95 is {latency_p95_ms:.3g} ms, the limit is {limit_ms:g} ms"


def _why_answers(watch: Watch) -> str:
    if watch.is_wrong:
        return f"golden request: {watch.problem}"
    if watch.unanswered >= UNANSWERED_MOST:
        return f"{watch.unanswered} golden requests in a row got no answer: {watch.problem}"
    alarm = RateWatch(limit_rate=SLOW_BLOCKS_LIMIT, false_alarm=FALSE_ALARM)
    is_slow = alarm.judge(events=watch.slow_blocks, trials=watch.blocks) == "bad"
    return _slow(watch) if is_slow else ""


def _at_the_end(
    summary: str, *, elapsed_s: float, limits: ProbationLimits, watch: Watch | None
) -> Judgement:
    """The time is over: nothing passes that was not seen to answer."""
    if watch is None:
        return Judgement(verdict="pass", reason=summary)
    if watch.answers < limits.minimum_answers:
        if elapsed_s < limits.duration_s + GRACE_S:
            return Judgement(verdict="wait")
        return _refuse(f"only {watch.answers} golden requests were answered in {elapsed_s:.0f} s")
    if watch.blocks >= BLOCKS_LEAST and 2 * watch.slow_blocks > watch.blocks:
        return _refuse(_slow(watch))
    return Judgement(verdict="pass", reason=f"{summary}; {watch.answers} golden answers are right")


def _slow(watch: Watch) -> str:
    old = watch.baseline
    return (
        f"{watch.slow_blocks} of {watch.blocks} blocks of answers are slow, the old model had a "
        f"median of {old.median_ms:.3g} ms and a p95 of {old.p95_ms:.3g} ms"
    )


def _refuse(reason: str) -> Judgement:
    return Judgement(verdict="refuse", reason=reason)
