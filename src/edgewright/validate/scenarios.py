"""How load is put on a server: each scenario is a way to ask, and the question it answers.

single-stream   one client that waits: the latency of a lone request
multi-stream    some clients that wait: latency under concurrency
server          Poisson arrivals at a rate, answered or not: latency as users see it
stream          evenly spaced arrivals, as from a sensor
offline         more clients than the server can serve at once: throughput
find-peak       the highest Poisson rate that still keeps the p95 limit
soak            `server` for long, and what grows meanwhile
cold-start      from starting the process to the first right answer
swap            `server` while the model is loaded anew again and again
faults          a client that waits, beside slow, killed, garbling and far too many others
replay          recorded traffic, at its own pace
"""

from typing import Literal

import msgspec
import numpy as np

from edgewright.errors import InputError
from edgewright.evidence import Interval
from edgewright.measure.load import LoadLimits, even_arrivals, poisson_arrivals
from edgewright.measure.load_result import LoadResult
from edgewright.validate.load import Load, Loop
from edgewright.validate.order import Order

Shape = Literal["closed", "poisson", "even"]


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario that keeps one load on the server for the whole run."""

    shape: Shape
    connections: int
    is_offline: bool = False

    @property
    def is_open(self) -> bool:
        return self.shape != "closed"


STEADY: dict[str, Steady] = {
    "single-stream": Steady(shape="closed", connections=1),
    "multi-stream": Steady(shape="closed", connections=8),
    "offline": Steady(shape="closed", connections=32, is_offline=True),
    "server": Steady(shape="poisson", connections=64),
    "soak": Steady(shape="poisson", connections=64),
    "stream": Steady(shape="even", connections=16),
}


def steady_rate_rps(order: Order, steady: Steady) -> float | None:
    """The rate of an open loop: asked for, else the contract's budget or sensor rate.

    Raises:
        InputError: an open loop without a rate.
    """
    if not steady.is_open:
        return None
    fallback = order.budgets.throughput_rps
    if steady.shape == "even" and order.contract is not None:
        fallback = order.contract.rate_hz or fallback
    rate_rps = order.rate_rps or fallback
    if rate_rps is None:
        raise InputError(f"scenario {order.scenario} needs a rate of requests", hint="give --rps")
    return rate_rps


def steady_loop(order: Order, load: Load, *, rng: np.random.Generator) -> Loop:
    """The loop of a steady scenario, ready to run."""
    steady = STEADY[order.scenario]
    connections = order.connections or steady.connections
    limits = LoadLimits(seconds=order.seconds)
    rate_rps = steady_rate_rps(order, steady)
    if rate_rps is None:
        return load.closed(limits, connections=connections)
    arrivals_s = (
        poisson_arrivals(rate_rps, order.seconds, rng=rng)
        if steady.shape == "poisson"
        else even_arrivals(rate_rps, order.seconds)
    )
    if len(arrivals_s) == 0:
        raise InputError(
            f"{rate_rps:g} requests a second for {order.seconds:g} s make no request",
            hint="give a higher --rps or more --seconds",
        )
    return load.opened(limits, arrivals_s=arrivals_s, connections=connections)


def protocol_text(order: Order) -> str:
    """How it was measured, in one sentence for the evidence."""
    steady = STEADY[order.scenario]
    connections = order.connections or steady.connections
    rate_rps = steady_rate_rps(order, steady)
    if rate_rps is None:
        load = f"closed loop, {connections} clients that each wait for their answer"
    else:
        arrivals = "Poisson" if steady.shape == "poisson" else "evenly spaced"
        load = (
            f"open loop, {arrivals} arrivals at {rate_rps:g} requests/s over {connections} "
            "connections, latency from the scheduled moment"
        )
    return (
        f"edgewright validate, scenario {order.scenario}: {load}, {order.seconds:g} s, "
        f"seed {order.seed}; 95 % intervals: order statistics with the design effect of dependent "
        "samples (quantiles), blocks of time (rates)"
    )


def kept_up(result: LoadResult) -> Interval:
    """The percentage of scheduled requests that were answered with success."""
    share = 100.0 * result.answered / result.requests if result.requests else 0.0
    return Interval(share, share, share)
