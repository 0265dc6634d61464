"""The model is loaded anew, again and again, while requests arrive: none may be lost or wrong."""

import asyncio
import contextlib
import time
from pathlib import Path

import msgspec
import numpy as np

from edgewright.errors import DeviceError, InputError, TransportError, UnavailableError
from edgewright.evidence import Gate, Interval
from edgewright.evidence.intervals import quantile_interval
from edgewright.measure.load import LoadLimits, poisson_arrivals
from edgewright.measure.load_result import ANSWERED, LoadResult
from edgewright.transports.http1 import Client
from edgewright.validate.figures import (
    generator_figures,
    latency_figures,
    throughput_figure,
)
from edgewright.validate.load import Load
from edgewright.validate.looking import run_or_part
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.scenarios import kept_up
from edgewright.validate.soundness import load_doubts
from edgewright.validate.surroundings import Surroundings
from edgewright.wire.admin import LoadOrder

_RATE_RPS = 50.0
_CONNECTIONS = 64
_LEAST_SWAPS = 3
_MOST_SWAPS = 200
_SWAP_TIMEOUT_S = 60.0
_SUCCESS = 200


class Swap(msgspec.Struct, frozen=True, kw_only=True):
    """One order to load: from when to when, seconds from the run's start; `fault` when refused."""

    start_s: float
    end_s: float
    fault: str = ""


async def observe_swaps(
    order: Order, served: Served, load: Load, *, rng: np.random.Generator
) -> Observed:
    """Poisson arrivals for the whole time, a swap about every second.

    Raises:
        UnavailableError: the server's administrator's socket is not known.
    """
    if served.admin is None:
        raise _no_socket(order)
    rate_rps = order.rate_rps or order.budgets.throughput_rps or _RATE_RPS
    loop = load.opened(
        LoadLimits(seconds=order.seconds),
        arrivals_s=poisson_arrivals(rate_rps, order.seconds, rng=rng),
        connections=order.connections or _CONNECTIONS,
    )
    surroundings = Surroundings(served)
    swapper = Swapper(served.admin, order.model, _bodies(order, served))
    with surroundings.watched():
        swapping = asyncio.create_task(swapper.run(order.seconds), name="swapping")
        result = await run_or_part(loop)
        if result.is_interrupted:
            swapping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await swapping
    return _observed(order, rate_rps, result, surroundings, swapper.swaps)


async def answers_of_the_other(order: Order, served: Served, load: Load) -> LoadResult:
    """Every question once to the version that will be swapped with; then back to the first one.

    Raises:
        DeviceError: a version cannot be loaded.
    """
    if served.admin is None:
        raise _no_socket(order)
    swapper = Swapper(served.admin, order.model, _bodies(order, served))
    async with Client(uds=served.admin, timeout_s=_SWAP_TIMEOUT_S) as client:
        await swapper.swap(client, time.perf_counter())
        limits = LoadLimits(seconds=_SWAP_TIMEOUT_S, requests=len(load.requests))
        result = await load.closed(limits, connections=1).run()
        await swapper.swap(client, time.perf_counter())
    for swap in swapper.swaps:
        if swap.fault:
            raise DeviceError(f"{order.swap_to} cannot be swapped with: {swap.fault}")
    return result


def _no_socket(order: Order) -> UnavailableError:
    return UnavailableError(
        f"{order.subject}: swapping needs the server's administrator's socket",
        hint="serve with --admin SOCKET and name it in a suite file, [server] admin; or give the "
        "bundle",
    )


def _bodies(order: Order, served: Served) -> tuple[bytes, ...]:
    """What is asked for, in turn: the same model again, or the other version and this one."""
    if order.swap_to is None:
        return (b"{}",)
    if served.source is None:
        raise InputError(
            "swapping between two versions needs the first one's file", hint="give the bundle"
        )
    return tuple(_load_body(path) for path in (order.swap_to, served.source))


def _load_body(path: Path) -> bytes:
    return msgspec.json.encode(LoadOrder(path=str(path.resolve())))


class Swapper:
    """Orders loads at even distances and writes down how they went."""

    def __init__(self, admin: Path, model: str, bodies: tuple[bytes, ...]) -> None:
        self.swaps: list[Swap] = []
        self._admin = admin
        self._path = f"/v2/repository/models/{model}/load"
        self._bodies = bodies

    async def run(self, seconds: float) -> None:
        """Swap until the time is over, and end on the version that was there before."""
        start_s = time.perf_counter()
        pause_s = seconds / (min(max(int(seconds), _LEAST_SWAPS), _MOST_SWAPS) + 1)
        async with Client(uds=self._admin, timeout_s=_SWAP_TIMEOUT_S) as client:
            while time.perf_counter() - start_s < seconds - pause_s or self._is_on_the_other:
                await asyncio.sleep(0 if self._is_on_the_other else pause_s)
                await self.swap(client, start_s)

    @property
    def _is_on_the_other(self) -> bool:
        return len(self.swaps) % len(self._bodies) != 0

    async def swap(self, client: Client, start_s: float) -> None:
        """Order one load; how it went is in `swaps`."""
        began_s = time.perf_counter()
        body = self._bodies[len(self.swaps) % len(self._bodies)]
        fault = ""
        try:
            answer = await client.request("POST", self._path, body=body)
        except TransportError as error:
            fault = str(error)
        else:
            if answer.status != _SUCCESS:
                fault = f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"
        end_s = time.perf_counter() - start_s
        self.swaps.append(Swap(start_s=began_s - start_s, end_s=end_s, fault=fault))


def _observed(
    order: Order,
    rate_rps: float,
    result: LoadResult,
    surroundings: Surroundings,
    swaps: list[Swap],
) -> Observed:
    failed = [swap for swap in swaps if swap.fault]
    what = "the same model" if order.swap_to is None else f"it and {order.swap_to.name}"
    return Observed(
        how=(
            f"edgewright validate, scenario swap: {len(swaps)} loads of {what} over the "
            f"administrator's socket, under Poisson arrivals at {rate_rps:g} requests/s, latency "
            f"from the scheduled moment, {order.seconds:g} s, seed {order.seed}"
        ),
        figures={
            **latency_figures(result.latencies_s()),
            **swap_figures(result, swaps),
            "throughput": throughput_figure(result),
            "kept up": kept_up(result),
            **generator_figures(result),
            **surroundings.figures(result.answered),
        },
        gates=(Gate.at_most("failed swaps", len(failed), 0, timed=False),),
        result=result,
        answers=result.answers,
        unkept=result.unkept,
        requests=result.requests,
        failed=result.failed,
        errors=result.errors,
        refusals=result.refusals,
        doubts=load_doubts(
            result, is_open=True, limits=order.limits, limit_ms=order.budgets.latency_p95_ms
        )
        + (("no swap took place",) if not swaps else ()),
        noise_doubts=surroundings.doubts(order.limits),
        notes=tuple(f"swap at {swap.start_s:.1f} s: {swap.fault}" for swap in failed[:3]),
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        has_ended=surroundings.has_ended,
        is_partial=result.is_interrupted,
    )


def swap_figures(result: LoadResult, swaps: list[Swap]) -> dict[str, Interval]:
    """How long swaps took, and what requests felt that were meant for those moments."""
    figures = {"swaps": Interval(float(len(swaps)))}
    done = [1e3 * (swap.end_s - swap.start_s) for swap in swaps if not swap.fault]
    if done:
        figures["swap time"] = quantile_interval(done, 0.5)
    moments_s = result.moments_s()
    is_inside = np.zeros(len(moments_s), dtype=bool)
    for swap in swaps:
        is_inside |= (moments_s >= swap.start_s) & (moments_s <= swap.end_s)
    latencies_ms = 1e3 * result.latencies_s()[is_inside]
    if len(latencies_ms):
        figures["latency p95 while swapping"] = quantile_interval(latencies_ms, 0.95)
    answered_s = np.sort(result.done_s[result.states == ANSWERED])
    if len(answered_s) > 1:
        figures["longest gap between answers"] = Interval(1e3 * float(np.diff(answered_s).max()))
    return figures
