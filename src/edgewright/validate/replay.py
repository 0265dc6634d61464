"""Recorded traffic, put on the server at its own pace or faster."""

from collections.abc import Sequence

import numpy as np

from edgewright.measure.load import LoadLimits
from edgewright.validate.figures import (
    generator_figures,
    latency_figures,
    throughput_figure,
)
from edgewright.validate.load import Load
from edgewright.validate.looking import run_or_part
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.recording import Recorded
from edgewright.validate.scenarios import kept_up
from edgewright.validate.soundness import load_doubts
from edgewright.validate.surroundings import Surroundings

_CONNECTIONS = 64


async def observe_replay(
    order: Order, served: Served, load: Load, recording: Sequence[Recorded]
) -> Observed:
    """The whole recording once, or as much of it as fits into `order.seconds`."""
    moments_s = np.array([one.at_s for one in recording]) / order.speed
    seconds = min(float(moments_s[-1]) + 0.01, order.seconds)
    loop = load.opened(
        LoadLimits(seconds=seconds),
        arrivals_s=moments_s,
        connections=order.connections or _CONNECTIONS,
    )
    surroundings = Surroundings(served)
    with surroundings.watched():
        result = await run_or_part(loop)
    left_out = int(np.count_nonzero(moments_s >= seconds))
    return Observed(
        how=(
            f"edgewright validate, scenario replay: {result.requests} of {len(recording)} recorded "
            f"requests, {order.speed:g} times their pace, open loop over "
            f"{order.connections or _CONNECTIONS} connections, latency from the scheduled moment; "
            "95 % intervals: order statistics with the design effect of dependent samples"
        ),
        figures={
            **latency_figures(result.latencies_s()),
            "throughput": throughput_figure(result),
            "kept up": kept_up(result),
            **generator_figures(result),
            **surroundings.figures(result.answered),
        },
        result=result,
        answers=result.answers,
        unkept=result.unkept,
        requests=result.requests,
        failed=result.failed,
        errors=result.errors,
        refusals=result.refusals,
        doubts=load_doubts(
            result, is_open=True, limits=order.limits, limit_ms=order.budgets.latency_p95_ms
        ),
        noise_doubts=surroundings.doubts(order.limits),
        notes=(f"{left_out} recorded requests were beyond the time",) if left_out else (),
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        has_ended=surroundings.has_ended,
        is_partial=result.is_interrupted,
    )
