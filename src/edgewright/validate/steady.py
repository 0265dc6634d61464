"""Steady load on a server, and everything that happened meanwhile written down."""

import asyncio
import contextlib
from collections.abc import Iterator

import numpy as np

from edgewright.evidence import Interval
from edgewright.measure import Noise, noise_between, read_noise
from edgewright.measure.load import ClosedLoop, LoadLimits
from edgewright.measure.load_result import LoadResult
from edgewright.validate.figures import (
    generator_figures,
    latency_figures,
    resource_figures,
    throughput_figure,
    warm_up_end_s,
)
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.resources import ResourceSample, ResourceWatch, growth_figures
from edgewright.validate.scenarios import STEADY, Loop, kept_up, protocol_text, steady_loop
from edgewright.validate.soundness import SoundnessLimits, load_doubts, never_settled, noise_doubts

_WARM_UP_SHARE = 0.06
_LEAST_WARM_UP_S = 0.2
_MOST_WARM_UP_S = 2.0


class Surroundings:
    """The machine and the server's process, watched while the block lasts."""

    def __init__(self, served: Served) -> None:
        self.samples: list[ResourceSample] = []
        self.noise: Noise | None = None
        self._served = served
        self._pids = () if served.pid is None else (served.pid,)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Read the machine before and after, the process all along."""
        before = read_noise(*self._pids)
        with ResourceWatch(self._served.pid) as watch:
            yield
        self.noise = noise_between(before, read_noise(*self._pids))
        self.samples = watch.samples

    def doubts(self, limits: SoundnessLimits) -> tuple[str, ...]:
        """What the machine did to the measurement."""
        knows_server = bool(self._pids) or not self._served.target.is_loopback
        if self.noise is None:
            return ()
        return noise_doubts(self.noise, knows_server=knows_server, limits=limits)


async def warm_up(order: Order, served: Served, requests: tuple[bytes, ...]) -> None:
    """Some requests that do not count: caches fill, lazily made things get made."""
    seconds = min(max(order.seconds * _WARM_UP_SHARE, _LEAST_WARM_UP_S), _MOST_WARM_UP_S)
    await ClosedLoop(served.target, requests, LoadLimits(seconds=seconds), connections=2).run()


async def observe_steady(
    order: Order, served: Served, requests: tuple[bytes, ...], *, rng: np.random.Generator
) -> Observed:
    """One attempt; interrupted, it gives what there is, marked as partial."""
    loop = steady_loop(order, served.target, requests, rng=rng)
    surroundings = Surroundings(served)
    with surroundings.watched():
        result = await run_or_part(loop)
    cut, after_s = warm_up_end_s(result)
    return Observed(
        how=protocol_text(order),
        figures=_figures(order, result, surroundings.samples, after_s, rng),
        result=result,
        answers=result.answers,
        unkept=result.unkept,
        requests=result.requests,
        failed=result.failed,
        errors=result.errors,
        refusals=result.refusals,
        doubts=_doubts(order, result, cut),
        noise_doubts=surroundings.doubts(order.limits),
        notes=(f"the first {after_s:.2g} s were warm-up and left out",) if after_s else (),
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        is_partial=result.is_interrupted,
    )


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
    samples: list[ResourceSample],
    after_s: float,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    figures = {
        **latency_figures(result.latencies_s(after_s=after_s)),
        "throughput": throughput_figure(result, after_s=after_s),
        **generator_figures(result),
        **resource_figures(samples, result.answered),
    }
    if STEADY[order.scenario].is_open:
        figures["kept up"] = kept_up(result)
    if order.scenario == "soak":
        figures |= growth_figures(samples, rng=rng)
    return figures


def _doubts(order: Order, result: LoadResult, cut: int) -> tuple[str, ...]:
    is_open = STEADY[order.scenario].is_open
    settled = never_settled(result.latencies_s(), cut, limits=order.limits)
    return load_doubts(result, is_open=is_open, limits=order.limits) + (
        (settled,) if settled else ()
    )
