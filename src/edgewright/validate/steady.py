"""Steady load on a server, and everything that happened meanwhile written down."""

import asyncio

import numpy as np

from edgewright.evidence import Interval
from edgewright.measure.load import LoadLimits
from edgewright.measure.load_result import LoadResult
from edgewright.validate.early import (
    CONFIDENCE,
    LOOKS,
    Rule,
    is_leak,
    latency_side,
    rule_of,
    throughput_side,
)
from edgewright.validate.figures import (
    few_queries,
    generator_figures,
    latency_figures,
    throughput_figure,
    warm_up_end_s,
)
from edgewright.validate.gates import LEAK_LIMIT_MB_PER_MIN
from edgewright.validate.load import Load
from edgewright.validate.looking import Decides, run_with_looks
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
        decides = _decides(order, surroundings)
        result = await run_with_looks(loop, decides, seconds=order.seconds)
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
        has_ended=surroundings.has_ended,
        is_partial=result.is_interrupted,
    )


def _decides(order: Order, surroundings: Surroundings) -> Decides | None:
    """What ends the run at a look, if anything may."""
    budgets, rule = order.budgets, rule_of(order)
    limit_ms, least_rps = budgets.latency_p95_ms, budgets.throughput_rps

    async def by_latency(result: LoadResult, now_s: float) -> bool:
        assert limit_ms is not None  # noqa: S101 - the rule's own condition
        return latency_side(result, now_s=now_s, limit_ms=limit_ms) != "open"

    async def by_throughput(result: LoadResult, _: float) -> bool:
        assert least_rps is not None  # noqa: S101 - the rule's own condition
        _, after_s = warm_up_end_s(result)
        seen = throughput_figure(result, after_s=after_s, confidence=CONFIDENCE)
        return throughput_side(seen, least_rps=least_rps) != "open"

    async def by_growth(_: LoadResult, now_s: float) -> bool:
        samples = tuple(surroundings.samples)
        rng = np.random.default_rng([order.seed, int(now_s)])
        grown = await asyncio.to_thread(growth_figures, samples, rng=rng, confidence=CONFIDENCE)
        return is_leak(grown.get("memory growth"), most=LEAK_LIMIT_MB_PER_MIN)

    rules: dict[Rule, Decides] = {
        "latency": by_latency,
        "throughput": by_throughput,
        "growth": by_growth,
    }
    return None if rule is None else rules[rule]


def _figures(
    order: Order,
    result: LoadResult,
    surroundings: Surroundings,
    after_s: float,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    rule = rule_of(order)
    sure: dict[Rule, float] = {rule: CONFIDENCE} if rule is not None else {}
    usual = 0.95
    figures = {
        **latency_figures(
            result.latencies_s(after_s=after_s), confidence=sure.get("latency", usual)
        ),
        "throughput": throughput_figure(
            result, after_s=after_s, confidence=sure.get("throughput", usual)
        ),
        **generator_figures(result),
        **surroundings.figures(result.answered),
    }
    if STEADY[order.scenario].is_open:
        figures["kept up"] = kept_up(result)
    if order.scenario == "soak":
        figures |= growth_figures(
            surroundings.samples, rng=rng, confidence=sure.get("growth", usual)
        )
    return figures


def _notes(order: Order, result: LoadResult, after_s: float) -> tuple[str, ...]:
    notes = few_queries(result.latencies_s(after_s=after_s))
    if after_s:
        notes = (f"the first {after_s:.2g} s were warm-up and left out", *notes)
    if rule_of(order) is not None and result.wall_s < order.seconds:
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
