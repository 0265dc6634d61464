"""SIGKILL of the fleet at random moments of rollouts; afterwards everything must be whole."""

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import signal
import socket
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from _fleet import prepare
from edgewright.chain.fleet import open_fleet
from edgewright.chain.fleet_server import ServeOrder, serve
from edgewright.chain.simulation import SimulationOrder, enrolled_homes
from edgewright.clock import SystemClock
from edgewright.device.sim import Behaviour, Tally, simulate
from edgewright.errors import TrustError
from edgewright.fleet.audit import verify_audit
from edgewright.fleet.office import Office
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits

DEVICES = 20
WAVES = "2,25%,60%,100%"
SIZES = (2, 3, 7, 8)  # devices in each of the waves
POLL_S = 1.0
LONGEST_S = 1.2
ROLLOUT_S = 300.0
MOST_IN_ONE = 8


class Whole(msgspec.Struct, kw_only=True):
    """What was found after so many kills. `twice` are devices that committed a bundle again,
    `missed` those that never did. `begun_again` is no fault: a download that was cut goes on.
    """

    kills: int = 0
    rollouts: int = 0
    twice: int = 0
    missed: int = 0
    begun_again: int = 0
    waves_out_of_order: int = 0
    over_limit: int = 0
    broken_audits: int = 0
    not_done: int = 0


def kills(folder: Path, recording: Any, options: argparse.Namespace) -> None:
    """As many kills as asked for, over as many rollouts as that takes."""
    found = harness(folder, times=options.times, seed=options.seed)
    recording.figures.update(msgspec.structs.asdict(found))


def harness(folder: Path, *, times: int, seed: int) -> Whole:
    """The whole of it; the simulated devices live here, the fleet in processes that are killed."""
    return asyncio.run(_harness(folder, times, random.Random(seed)))


async def _harness(folder: Path, times: int, rng: random.Random) -> Whole:
    found, tally, stop = Whole(), Tally(), asyncio.Event()
    versions = max(2, times)
    place = prepare(folder, versions=versions, uses=DEVICES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fleet = _Fleet(place.home, port)
    await fleet.start()
    behaviour = Behaviour(poll_s=POLL_S)
    order = SimulationOrder(
        url=f"http://127.0.0.1:{port}", token=place.token, count=DEVICES, folder=folder / "sims"
    )
    homes = await enrolled_homes(order)
    living = asyncio.create_task(
        simulate(homes, behaviour, tally, clock=SystemClock(), stop=stop), name="sims"
    )
    try:
        with open_fleet(place.home) as office:
            for version in range(1, versions + 1):
                if found.kills >= times:
                    break
                may_kill = min(times - found.kills, MOST_IN_ONE)
                plan = _Plan(
                    f"tiny@{version}", [rng.uniform(0, LONGEST_S) for _ in range(may_kill)]
                )
                await _one_rollout(office, fleet, found, plan)
                _judge(office, found, tally)
    finally:
        stop.set()
        await living
        await asyncio.to_thread(fleet.kill)
    return found


class _Plan(msgspec.Struct, frozen=True):
    """Which release, and how long the fleet lives before each kill."""

    release: str
    lives_s: list[float]


async def _one_rollout(office: Office, fleet: "_Fleet", found: Whole, plan: _Plan) -> None:
    limits = Limits(soak_s=0, min_reached_percent=100, deadline_s=ROLLOUT_S)
    order = RolloutOrder(release=plan.release, waves=WAVES, limits=limits)
    number = office.rollouts.start(order, by="bench").number
    found.rollouts += 1
    for life_s in plan.lives_s:
        await asyncio.sleep(life_s)
        if _look(office, number, found) == "done":
            return
        await asyncio.to_thread(fleet.kill)
        found.kills += 1
        await fleet.start()
    until_s = time.monotonic() + ROLLOUT_S
    while _look(office, number, found) != "done":
        if time.monotonic() > until_s:
            found.not_done += 1
            return
        await asyncio.sleep(0.1)


def _look(office: Office, number: int, found: Whole) -> str:
    facts = office.rollouts.status(number)
    flying = sum(member.standing in ("ordered", "updating") for member in facts.members)
    most = max(size for size, wave in zip(SIZES, facts.waves, strict=True) if wave.is_open)
    found.over_limit += flying > most
    return facts.status


def _judge(office: Office, found: Whole, tally: Tally) -> None:
    facts = office.rollouts.list(newest=1)[0]
    opened = [entry.text for entry in facts.history if "opened" in entry.text]
    expected = ["wave 1 opened", *(f"wave {wave} of 4 opened" for wave in (2, 3, 4))]
    found.waves_out_of_order += opened != expected
    took = Counter(step.device for step in tally.commits if step.bundle_id == facts.bundle_id)
    found.twice += sum(count > 1 for count in took.values())
    found.missed += DEVICES - len(took)
    found.begun_again = tally.begun_again
    try:
        verify_audit(office.state)
    except TrustError:
        found.broken_audits += 1


class _Fleet:
    """A fleet process, forked from one that has loaded everything, so that a start is quick."""

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self._port = port
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["edgewright.chain.fleet_server"])
        self._process: BaseProcess | None = None

    async def start(self) -> None:
        process = self._context.Process(target=_serve, args=(self._home, self._port), daemon=True)
        await asyncio.to_thread(process.start)
        self._process = process
        while not _answers(self._port):
            if not process.is_alive():
                raise SystemExit("the fleet did not come back")
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            assert self._process.exitcode == -signal.SIGKILL


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def _serve(home: Path, port: int) -> None:
    serve(home, ServeOrder(listen="127.0.0.1:0", devices=f"127.0.0.1:{port}"), ready=lambda _: None)
