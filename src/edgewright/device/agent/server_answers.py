"""What the server answers on its admin socket, as values of the agent."""

import msgspec

from edgewright.device.agent.ports import CandidateSample, ServingSample
from edgewright.transports.http1 import Response
from edgewright.wire import v2
from edgewright.wire.candidate import CandidateFigures


def sample_from(body: bytes) -> ServingSample:
    """How a model does, from its statistics."""
    stats = msgspec.json.decode(body, type=v2.StatisticsReply).model_stats[0]
    success, fail = stats.inference_stats.success.count, stats.inference_stats.fail.count
    return ServingSample(
        is_ready=True,
        requests=success + fail,
        errors=fail,
        latency_p50_ms=stats.latency_ms.get("p50", 0.0),
        latency_p95_ms=stats.latency_ms.get("p95", 0.0),
    )


def candidate_from(body: bytes) -> CandidateSample:
    """How a candidate does, from its figures."""
    figures = msgspec.json.decode(body, type=CandidateFigures)
    kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(figures.failures.items()))
    return CandidateSample(
        asked=figures.asked,
        failed=sum(figures.failures.values()) or bool(figures.broken),
        problem=f"{figures.broken or figures.problem} ({kinds})" if kinds else figures.broken,
        compared=figures.compared,
        agreed=figures.agreed,
        run_p50_ms=figures.run_ms[0],
        old_run_p50_ms=figures.old_run_ms[0],
        overhead_p95_ms=figures.overhead_ms[1],
    )


def problem_of(answer: Response) -> str:
    """What the server says went wrong."""
    try:
        return msgspec.json.decode(answer.body, type=v2.Problem).error
    except msgspec.DecodeError:
        return f"status {answer.status}"
