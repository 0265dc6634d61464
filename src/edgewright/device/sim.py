"""Many devices in one process: the real agent's code for each, and no model that is ever run.

For demos and for measuring a fleet. Every simulated device has a home of its own, polls, downloads,
verifies, stages, journals and reports as any agent does. What it lacks is said in its own words:
its probe runs nothing and its report says so, and it has no server. Homes in a folder that lies in
memory (`/dev/shm`) spare the disk thousands of small writes.

A device whose `Behaviour` says that it fails a bundle refuses it as one does whose probe failed.

Real devices have a processor each, these share one: so that a wave of thousands does not let every
request of the process run into its time limit, `DOWNLOADS_AT_ONCE` of them download at a time and
the others, which have told the fleet that they took note, wait for their turn.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright.clock import Clock
from edgewright.device.agent import (
    Agent,
    ContentKeys,
    Daemon,
    DeviceCertificate,
    FleetClient,
    Home,
    Journal,
    NoServer,
    Numbers,
    Outbox,
    Policy,
    Progress,
    Recorder,
    Release,
    Slots,
    Tools,
)
from edgewright.device.agent.progress import STOPPED
from edgewright.stores import Log
from edgewright.telemetry import ProbeReport

T = TypeVar("T")

DOWNLOADS_AT_ONCE = 64
NOT_RUN = "a simulated device: nothing was run"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How simulated devices act. `fails_percent` of them refuse every bundle that is not their
    first one; which ones depends on their names alone.
    """

    poll_s: float = 30.0
    probe_s: float = 0.0
    fails_percent: float = 0.0


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A device that runs a bundle for good since then."""

    device: str
    bundle_id: str
    at_s: float


class Tally:
    """What simulated devices did, for whoever measures."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.refused: list[Commit] = []
        self.twice = 0
        """How often a device committed the bundle that it had committed last."""
        self.begun_again = 0
        """How often a device began with the bundle that it had begun last, as after a download that
        was cut off too often.
        """
        self._runs: dict[str, str] = {}
        self._began: dict[str, str] = {}

    def note(self, device: str, progress: Progress) -> None:
        """A step that a device has written down."""
        release = progress.release
        if release is None or progress.event == STOPPED:
            return  # stopped in a state, which says nothing new of it
        step = Commit(device=device, bundle_id=release.bundle_id, at_s=progress.at_s)
        if progress.state == "download":
            self.begun_again += self._began.get(device) == release.bundle_id
            self._began[device] = release.bundle_id
        elif progress.state == "idle" and progress.event == "refused":
            self.refused.append(step)
        elif progress.state == "commit":
            self.twice += self._runs.get(device) == release.bundle_id
            self._runs[device] = release.bundle_id
            self.commits.append(step)


class UnrunProbe:
    """A probe that runs no model: it passes, or refuses, as the simulation was told."""

    def __init__(self, clock: Clock, *, wait_s: float, refuses: Callable[[str], bool]) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._refuses = refuses

    async def run(self, folder: Path) -> ProbeReport:
        """See `Probe`."""
        await self._clock.sleep(self._wait_s)
        if self._refuses(folder.name):
            return ProbeReport(passed=False, reason=f"{NOT_RUN}; told to refuse it")
        return ProbeReport(passed=True, reason=NOT_RUN)


class _Patient(FleetClient):
    """A way to the fleet whose downloads wait for their turn."""

    def __init__(self, home: Home, clock: Clock, turns: asyncio.Semaphore) -> None:
        identity, certificate = home.identity(), DeviceCertificate(home.root)
        super().__init__(
            identity.fleet_url, secret=identity.secret, clock=clock, certificate=certificate
        )
        self._turns = turns

    async def download(self, release: Release, part: Path) -> None:
        """See `FleetClient`."""
        async with self._turns:
            await super().download(release, part)

    async def patch(self, release: Release, base: str, part: Path) -> bool:
        """See `FleetClient`."""
        async with self._turns:
            return await super().patch(release, base, part)


class SimulatedDevice:
    """One device over an enrolled home. Make it inside the event loop that runs it."""

    def __init__(
        self,
        home: Home,
        behaviour: Behaviour,
        tally: Tally,
        *,
        clock: Clock,
        turns: asyncio.Semaphore,
    ) -> None:
        identity = home.identity()
        self.name = identity.device
        self._rng = random.Random(self.name)  # noqa: S311 - jitter, the same in every run
        self._fails = self._rng.uniform(0, 100) < behaviour.fails_percent
        self._fleet = _Patient(home, clock, turns)
        self._journal = Journal(Log(home.journal_path))
        outbox = Outbox(
            Log(home.outbox_path), Numbers(Log(home.numbers_path)), device=identity.device
        )
        recorder = Recorder(self._journal, outbox)

        def write(progress: Progress) -> None:
            recorder.write(progress)
            tally.note(self.name, progress)

        trust = home.trust()
        tools = Tools(
            write=write,
            slots=Slots(home.slots, trust),
            trust=trust,
            content_keys=ContentKeys(trust, home.sealing_key),
            probe=UnrunProbe(clock, wait_s=behaviour.probe_s, refuses=self._refuses),
            server=NoServer(),
            clock=clock,
            offload=_inline,
            downloads=home.downloads,
            policy=Policy(),
            fleet=self._fleet,
        )
        agent = Agent(home, recorder, tools)
        self._daemon = Daemon(agent, poll_s=behaviour.poll_s, rng=self._rng)

    def stop(self) -> None:
        """End `run`."""
        self._daemon.stop()

    async def run(self) -> None:
        """Live until `stop`."""
        try:
            await self._daemon.run()
        finally:
            await self._fleet.close()

    def _refuses(self, _bundle_id: str) -> bool:
        return self._fails and any(p.good for p in self._journal.models().values())


async def simulate(
    homes: Sequence[Home], behaviour: Behaviour, tally: Tally, *, clock: Clock, stop: asyncio.Event
) -> None:
    """Let all these devices live until `stop` is set. They wake one after the other over one
    interval of their polls, as devices do that were switched on at different times.
    """
    turns = asyncio.Semaphore(DOWNLOADS_AT_ONCE)
    devices = [SimulatedDevice(home, behaviour, tally, clock=clock, turns=turns) for home in homes]
    pause_s = behaviour.poll_s / max(len(devices), 1)
    async with asyncio.TaskGroup() as group:
        for device in devices:
            if stop.is_set():
                break
            group.create_task(device.run(), name=f"sim:{device.name}")
            await clock.sleep(pause_s)
        await stop.wait()
        for device in devices:
            device.stop()


async def _inline(work: Callable[[], T]) -> T:
    """Blocking work in this thread: a small bundle in memory takes a millisecond."""
    return work()
