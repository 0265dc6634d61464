"""Another load generator in place of ours: its figures, our watch on the machine and answers."""

import asyncio

from edgewright.evidence import Interval
from edgewright.validate.figures import latency_figures, throughput_figure
from edgewright.validate.given import Engine, EngineRun
from edgewright.validate.load import Load
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.scenarios import kept_up
from edgewright.validate.soundness import load_doubts
from edgewright.validate.surroundings import Surroundings


async def observe_engine(order: Order, served: Served, load: Load, engine: Engine) -> Observed:
    """Let the engine run to its end; it cannot be interrupted."""
    surroundings = Surroundings(served)
    with surroundings.watched():
        run = await asyncio.to_thread(engine.run, order, load)
    result = run.result
    return Observed(
        how=run.how,
        figures=_figures(order, run) | surroundings.figures(result.answered),
        result=result,
        answers=result.answers,
        unkept=result.unkept,
        requests=result.requests,
        failed=result.failed,
        errors=result.errors,
        refusals=result.refusals,
        doubts=load_doubts(
            result,
            is_open=order.scenario == "server",
            limits=order.limits,
            limit_ms=order.budgets.latency_p95_ms,
        )
        + run.doubts,
        noise_doubts=surroundings.doubts(order.limits),
        notes=run.notes,
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        has_ended=surroundings.has_ended,
    )


def _figures(order: Order, run: EngineRun) -> dict[str, Interval]:
    """The engine's values; the intervals around them are of what was seen at the sockets."""
    seen = latency_figures(run.result.latencies_s())
    seen["throughput"] = throughput_figure(run.result)
    figures = {}
    for name, value in run.figures.items():
        ours = seen.get(name)
        if ours is None or ours.value <= 0:
            figures[name] = Interval(value)
            continue
        low = None if ours.low is None else value * ours.low / ours.value
        high = None if ours.high is None else value * ours.high / ours.value
        figures[name] = Interval(value, low, high)
    if order.scenario == "server":
        figures["kept up"] = kept_up(run.result)
    return figures
