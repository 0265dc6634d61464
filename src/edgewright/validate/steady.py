"""Steady load on a server, and everything that happened meanwhile written down."""

import asyncio

import numpy as np

from edgewright.evidence import Interval
from edgewright.measure.load import LoadLimits
from edgewright.measure.load_result import LoadResult
from edgewright.validate.early import CONFIDENCE, LOOKS, is_decided
from edgewright.validate.figures import (
    few_queries,
    generator_figures,
    latency_figures,
    throughput_figure,
    warm_up_end_s,
)
from edgewright.validate.load import Load, Loop
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.resources import growth_figures
from edgewright.validate.scenarios import STEADY, kept_up, protocol_text, steady_loop
from edgewright.validate.soundness import load_doubts, never_settled
from edgewright.validate.surroundings import Surroundings

_WARM_UP_SHARE = 0.06
_LEAST_WARM_UP_S = 0.2
_MOST_WARM_UP_S = 2.0


async def warm_up(order: Order, load: Load) -> None:
    """Some requests that do not count: caches fill, lazily made things get made."""
    seconds = min(max(order.seconds * _WARM_UP_SHARE, _LEAST_WARM_UP_S), _MOST_WARM_UP_S)
    await load.closed(LoadLimits(seconds=seconds), connections=2).run()


async def observe_steady(
    order: Order, served: Served, load: Load, *, rng: np.random.Generator
) -> Observed:
    """One attempt; interrupted, it gives what there is, marked as partial."""
    loop = steady_loop(order, load, rng=rng)
    surroundings = Surroundings(served)
    with surroundings.watched():
        result = await _run(loop, order)
    cut, after_s = warm_up_end_s(result)
    return Observed(
        how=protocol_text(order),
        figures=_figures(order, result, surroundings, after_s, rng),
        result=result,
        answers=result.answers,
        unkept=result.unkept,
        requests=result.requests,
        failed=result.failed,
        errors=result.errors,
        refusals=result.refusals,
        doubts=_doubts(order, result, cut),
        noise_doubts=surroundings.doubts(order.limits),
        notes=_notes(order, result, after_s),
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        is_partial=result.is_interrupted,
    )


def _may_stop(order: Order) -> bool:
    """Whether the run is about a latency limit, so that something can be decided early."""
    is_about_latency = order.scenario not in ("soak", "offline")
    return order.stops_early and is_about_latency and order.budgets.latency_p95_ms is not None


async def _run(loop: Loop, order: Order) -> LoadResult:
    """To the end, or to the look that decides."""
    if not _may_stop(order):
        return await run_or_part(loop)
    looking = asyncio.create_task(_look(loop, order), name="looks at the load")
    try:
        return await run_or_part(loop)
    finally:
        looking.cancel()


async def _look(loop: Loop, order: Order) -> None:
    limit_ms = order.budgets.latency_p95_ms
    start_s = loop.elapsed_s()
    for share in LOOKS:
        await asyncio.sleep(max(share * order.seconds - (loop.elapsed_s() - start_s), 0))
        now_s = loop.elapsed_s()
        if limit_ms is not None and is_decided(loop.result(), now_s=now_s, limit_ms=limit_ms):
            loop.finish()
            return


async def run_or_part(loop: Loop) -> LoadResult:
    """The whole run, or after Ctrl-C what was measured until then."""
    try:
        return await loop.run()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return loop.result()


def _figures(
    order: Order,
    result: LoadResult,
    surroundings: Surroundings,
    after_s: float,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    confidence = CONFIDENCE if _may_stop(order) else 0.95
    figures = {
        **latency_figures(result.latencies_s(after_s=after_s), confidence=confidence),
        "throughput": throughput_figure(result, after_s=after_s),
        **generator_figures(result),
        **surroundings.figures(result.answered),
    }
    if STEADY[order.scenario].is_open:
        figures["kept up"] = kept_up(result)
    if order.scenario == "soak":
        figures |= growth_figures(surroundings.samples, rng=rng)
    return figures


def _notes(order: Order, result: LoadResult, after_s: float) -> tuple[str, ...]:
    notes = few_queries(result.latencies_s(after_s=after_s))
    if after_s:
        notes = (f"the first {after_s:.2g} s were warm-up and left out", *notes)
    if _may_stop(order) and result.wall_s < order.seconds:
        note = (
            f"decided and stopped after {result.wall_s:.1f} of {order.seconds:g} s; each of "
            f"{len(LOOKS) + 1} looks has intervals of {CONFIDENCE:.2%}, all together 95 %"
        )
        notes += (note,)
    return notes


def _doubts(order: Order, result: LoadResult, cut: int) -> tuple[str, ...]:
    is_open = STEADY[order.scenario].is_open
    limit_ms = order.budgets.latency_p95_ms
    settled = never_settled(result.latencies_s(), cut, limits=order.limits, limit_ms=limit_ms)
    doubts = load_doubts(result, is_open=is_open, limits=order.limits, limit_ms=limit_ms)
    return doubts + ((settled,) if settled else ())
