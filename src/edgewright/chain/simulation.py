"""Simulated devices of a real fleet: enrolled by its token, living in one process."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from edgewright.chain.enrolment import Wish, enroll_with
from edgewright.chain.open_files import allow_all_open_files
from edgewright.clock import SystemClock
from edgewright.device.agent import Home
from edgewright.device.sim import Behaviour, Tally, simulate
from edgewright.errors import InputError

ENROLS_AT_ONCE = 32

Say = Callable[[str], None]


class SimulationOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How many devices, where they live, and how they act. Homes that are there are used again."""

    url: str
    token: str
    count: int
    folder: Path
    prefix: str = "sim"
    labels: dict[str, str] = {}
    behaviour: Behaviour = Behaviour()
    seconds: float | None = None


class SimulationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What simulated devices did. `twice` is how often one committed a bundle that it ran already,
    `begun_again` how often one had to begin with a bundle once more.
    """

    devices: int
    commits: int
    refused: int
    twice: int
    begun_again: int


def run_simulation(order: SimulationOrder, *, say: Say) -> SimulationFacts:
    """Enrol what is not enrolled yet and let all devices live until a signal, or for a while.

    Raises:
        InputError: the token is not good, or no device was asked for.
        TransportError: the fleet does not answer.
    """
    if order.count < 1:
        raise InputError(f"{order.count} devices: expected 1 or more")
    allow_all_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(_run(order, say))
    return SimulationFacts(
        devices=order.count,
        commits=len(tally.commits),
        refused=len(tally.refused),
        twice=tally.twice,
        begun_again=tally.begun_again,
    )


async def _run(order: SimulationOrder, say: Say) -> Tally:
    homes = await enrolled_homes(order)
    say(f"{len(homes)} simulated devices are enrolled")
    stop, tally = asyncio.Event(), Tally()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if order.seconds is not None:
        loop.call_later(order.seconds, stop.set)
    await simulate(homes, order.behaviour, tally, clock=SystemClock(), stop=stop)
    return tally


async def enrolled_homes(order: SimulationOrder) -> list[Home]:
    """A home for each device, a few of them enrolling at a time."""
    names = [f"{order.prefix}-{number:05}" for number in range(order.count)]
    folder = order.folder
    gate = asyncio.Semaphore(ENROLS_AT_ONCE)

    async def enrolled(name: str) -> Home:
        home = Home(folder / name)
        if not home.identity_path.exists():
            wish = Wish(token=order.token, device=name, labels=order.labels)
            async with gate:
                await enroll_with(order.url, wish, home)
        return home

    return await asyncio.gather(*map(enrolled, names))
