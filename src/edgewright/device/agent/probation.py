"""The rule of probation: samples of a served model in, go on waiting or a verdict out. Pure."""

from typing import Literal

import msgspec

from edgewright.device.agent.ports import ServingSample
from edgewright.evidence import RateWatch


class ProbationLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a new model must keep while it is watched. The error rate is judged by a sequential
    test, so looking often accuses nobody; no latency on fewer than `minimum_latencies`.
    """

    duration_s: float
    error_rate: float = 0.01
    latency_p95_ms: float | None = None
    minimum_latencies: int = 100


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, and why."""

    verdict: Literal["wait", "pass", "refuse"]
    reason: str = ""


def judge(
    first: ServingSample, now: ServingSample, *, elapsed_s: float, limits: ProbationLimits
) -> Judgement:
    """Compare the newest sample with the first one and the limits.

    >>> limits = ProbationLimits(duration_s=60)
    >>> start = ServingSample(is_ready=True)
    >>> now = ServingSample(is_ready=True, requests=500)
    >>> judge(start, now, elapsed_s=61, limits=limits).verdict
    'pass'
    """
    requests = now.requests - first.requests
    errors = now.errors - first.errors
    if not now.is_ready:
        return Judgement(verdict="refuse", reason=f"not ready: {now.reason or 'no reason given'}")
    if requests < 0:
        return Judgement(verdict="refuse", reason="the server restarted by itself")
    watch = RateWatch(limit_rate=limits.error_rate)
    if watch.judge(events=errors, trials=requests) == "bad":
        return Judgement(
            verdict="refuse",
            reason=f"{errors} of {requests} requests failed, the limit is {limits.error_rate:.2%}",
        )
    limit_ms = limits.latency_p95_ms
    if limit_ms and requests >= limits.minimum_latencies and now.latency_p95_ms > limit_ms:
        return Judgement(
            verdict="refuse",
            reason=f"latency p95 is {now.latency_p95_ms:.3g} ms, the limit is {limit_ms:g} ms",
        )
    if elapsed_s >= limits.duration_s:
        return Judgement(
            verdict="pass", reason=f"{requests} requests in {elapsed_s:.0f} s, {errors} failed"
        )
    return Judgement(verdict="wait")
