"""The highest Poisson rate at which a server still keeps its latency limit."""

from typing import Protocol

import msgspec
import numpy as np

from edgewright.errors import InputError
from edgewright.evidence import Gate, Interval
from edgewright.measure.load import LoadLimits, poisson_arrivals
from edgewright.measure.load_result import LoadResult
from edgewright.validate.early import latency_side
from edgewright.validate.figures import generator_figures, latency_figures
from edgewright.validate.load import Load, merged_answers
from edgewright.validate.looking import Decides, run_with_looks
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.scenarios import kept_up
from edgewright.validate.soundness import load_doubts
from edgewright.validate.surroundings import Surroundings

_CONNECTIONS = 64
_FIRST_RPS = 64.0
_BISECTIONS = 5
_LEAST_KEPT_PERCENT = 98.0


class PeakStep(msgspec.Struct, frozen=True, kw_only=True):
    """One rate that was tried, and whether the server kept the limit there."""

    rate_rps: float
    p95_ms: float
    kept: bool


class RateTrial(Protocol):
    """Puts a rate on the server for a moment and says how it went."""

    async def __call__(self, rate_rps: float, seconds: float) -> PeakStep: ...


class PeakSearch(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate kept and the lowest missed, with every step on the way."""

    best_rps: float
    worst_rps: float | None
    steps: tuple[PeakStep, ...]

    @property
    def peak(self) -> Interval:
        """Between the highest rate that was kept and the lowest that was missed."""
        return Interval(self.best_rps, self.best_rps, self.worst_rps)


def peak_gates(search: PeakSearch, throughput_rps: float | None) -> tuple[Gate, ...]:
    """The peak must reach the throughput that is asked for."""
    if throughput_rps is None:
        return ()
    return (Gate.at_least("peak rate", search.peak, throughput_rps, unit="req/s"),)


def peak_doubts(search: PeakSearch, throughput_rps: float | None) -> tuple[str, ...]:
    """Why the search found no peak. Where a throughput is asked for, a bound on one side may do."""
    if throughput_rps is not None and search.steps:
        return ()
    if search.best_rps == 0:
        return (f"the limit was missed at the first rate, {search.steps[0].rate_rps:g} req/s",)
    if search.worst_rps is None:
        return ("the limit was kept at every rate that could be tried",)
    return ()


async def find_peak(
    trial: RateTrial, *, start_rps: float, step_s: float, most_rps: float = 100_000
) -> PeakSearch:
    """Double the rate until the limit is missed, then halve the (logarithmic) gap five times."""
    steps: list[PeakStep] = []
    best_rps, rate_rps = 0.0, start_rps
    worst_rps: float | None = None
    while worst_rps is None and rate_rps <= most_rps:
        step = await trial(rate_rps, step_s)
        steps.append(step)
        if step.kept:
            best_rps, rate_rps = rate_rps, rate_rps * 2
        else:
            worst_rps = rate_rps
    for _ in range(_BISECTIONS if worst_rps is not None and best_rps > 0 else 0):
        assert worst_rps is not None  # noqa: S101 - the loop's own condition
        rate_rps = (best_rps * worst_rps) ** 0.5
        step = await trial(rate_rps, step_s)
        steps.append(step)
        best_rps, worst_rps = (rate_rps, worst_rps) if step.kept else (best_rps, rate_rps)
    return PeakSearch(best_rps=best_rps, worst_rps=worst_rps, steps=tuple(steps))


async def observe_peak(
    order: Order, served: Served, load: Load, *, rng: np.random.Generator
) -> Observed:
    """Search for the peak, then measure latency at 95 % of it.

    Raises:
        InputError: no limit to search for.
    """
    limit_ms = order.budgets.latency_p95_ms
    if limit_ms is None:
        raise InputError("scenario find-peak needs a limit to search for", hint="give --p95-ms")
    results: list[LoadResult] = []

    async def is_missed(result: LoadResult, now_s: float) -> bool:
        return latency_side(result, now_s=now_s, limit_ms=limit_ms) == "missed"

    async def run(rate_rps: float, seconds: float, decides: Decides | None = None) -> LoadResult:
        loop = load.opened(
            LoadLimits(seconds=seconds, drain_s=1.0),
            arrivals_s=poisson_arrivals(rate_rps, seconds, rng=rng),
            connections=order.connections or _CONNECTIONS,
        )
        results.append(await run_with_looks(loop, decides, seconds=seconds))
        return results[-1]

    async def trial(rate_rps: float, seconds: float) -> PeakStep:
        result = await run(rate_rps, seconds, is_missed if order.stops_early else None)
        p95 = latency_figures(result.latencies_s()).get("latency p95", Interval(float("inf")))
        kept = p95.value <= limit_ms and kept_up(result).value >= _LEAST_KEPT_PERCENT
        is_kept = kept and not result.is_interrupted
        return PeakStep(rate_rps=rate_rps, p95_ms=p95.value, kept=is_kept)

    surroundings = Surroundings(served)
    with surroundings.watched():
        search = await find_peak(
            trial, start_rps=order.rate_rps or _FIRST_RPS, step_s=max(order.seconds / 16, 0.5)
        )
        final = await run(max(search.best_rps * 0.95, 1.0), max(order.seconds / 4, 1.0))
    is_partial = any(result.is_interrupted for result in results)
    answered = sum(result.answered for result in results)
    return Observed(
        how=(
            "edgewright validate, scenario find-peak: Poisson open loop, rate doubled until p95 "
            f"was above {limit_ms:g} ms, then bisected, {len(search.steps)} steps"
            f"{', each ended once it had missed beyond doubt' if order.stops_early else ''}; "
            f"latencies from a run at 95 % of the peak; seed {order.seed}"
        ),
        figures={
            "peak rate": search.peak,
            **latency_figures(final.latencies_s()),
            "kept up": kept_up(final),
            **generator_figures(final),
            **surroundings.figures(answered),
        },
        result=final,
        answers=merged_answers(results),
        unkept=sum(result.unkept for result in results),
        requests=final.requests,
        failed=final.failed,
        errors=final.errors,
        refusals=final.refusals,
        gates=peak_gates(search, order.budgets.throughput_rps),
        doubts=load_doubts(final, is_open=True, limit_ms=limit_ms)
        + peak_doubts(search, order.budgets.throughput_rps),
        noise_doubts=surroundings.doubts(order.limits),
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        has_ended=surroundings.has_ended,
        is_partial=is_partial,
    )
