"""A device in a folder, with a fake probe, server and fleet around a real agent."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from edgewright.device.agent import (
    Agent,
    ContentKeys,
    Home,
    Identity,
    Journal,
    Maintenance,
    Numbers,
    Outbox,
    Policy,
    Progress,
    Recorder,
    Slots,
    State,
    Tools,
    Update,
)
from edgewright.device.agent.step_hooks import StepHooks
from edgewright.stores import Log
from edgewright.testing import FakeClock, MemorySigner
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.testing.device import FakeProbe, FakeReplay, FakeServer, inline
from edgewright.testing.fleet_port import FakeFleet
from edgewright.trust import TrustedKeys

SIGNER = MemorySigner.from_seed(1)

T = TypeVar("T")


class Device:
    """One device; `start` gives a new agent on the same disk, as after a power cut."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.probe = FakeProbe()
        self.server = FakeServer()
        self.fleet = FakeFleet()
        self.replay: FakeReplay | None = None
        self.clock = FakeClock()
        self.deadlines_s: dict[State, float] = {}
        self.disk_budget_mb = 64.0
        self.probation_s = 10.0
        self.maintenance = Maintenance()
        self.allow_hooks = False
        self.step_hooks: StepHooks | None = None
        keys = TrustedKeys(threshold=1, keys=(SIGNER.public,))
        self.home.save_enrolment(Identity(device="d1"), keys)
        self.agent = self.start()

    def start(self) -> Agent:
        """An agent that finds what the last one left on disk."""
        journal = Journal(Log(self.home.journal_path))
        numbers = Numbers(Log(self.home.numbers_path))
        outbox = Outbox(Log(self.home.outbox_path), numbers, device="d1")
        recorder = Recorder(journal, outbox)
        trust = self.home.trust()
        tools = Tools(
            write=recorder.write,
            slots=Slots(
                self.home.slots,
                trust,
                budget_mb=self.disk_budget_mb,
                reserve_mb=0,
                downloads=self.home.downloads,
            ),
            trust=trust,
            content_keys=ContentKeys(trust, self.home.sealing_key),
            probe=self.probe,
            server=self.server,
            clock=self.clock,
            offload=inline,
            downloads=self.home.downloads,
            policy=Policy(
                probation_s=self.probation_s,
                deadlines_s=self.deadlines_s,
                maintenance=self.maintenance,
                allow_hooks=self.allow_hooks,
            ),
            fleet=self.fleet,
            replay=self.replay,
            admit=self.home.admit,
            step_hooks=self.step_hooks,
            tell=recorder.tell,
        )
        self.agent = Agent(self.home, recorder, tools)
        return self.agent

    def bundle(self, version: str, **options: Any) -> Path:
        """A bundle file outside the home."""
        path = self.folder / f"{options.get('name', MODEL)}-{version}.ewb"
        build_tiny(path, version=version, **options)
        return path

    async def install(self, version: str, **options: Any) -> str:
        """Apply a good bundle; returns its id."""
        progress = await self.agent.apply(self.bundle(version, **options))
        return progress.good

    def update(self, model: str = MODEL) -> Update:
        return self.agent.update(model)

    def progress(self, model: str = MODEL) -> Progress:
        return self.agent.recorder.journal.progress(model)

    def states(self) -> list[str]:
        """What the journal says, oldest first."""
        return [line.progress.state.value for line in self.agent.recorder.journal.lines]

    @property
    def current(self) -> str:
        return self.agent.tools.slots.current(MODEL)

    @property
    def served(self) -> str:
        return self.server.shown[MODEL].name if MODEL in self.server.shown else ""

    def files(self) -> list[str]:
        """Every file and link of the home but the logs."""
        logs = {"journal.log", "outbox.log", "numbers.log"}
        kept = {*logs, "identity.json", "trust.json", "lock"}
        found = (p for p in self.home.root.rglob("*") if p.is_symlink() or not p.is_dir())
        names = (str(path.relative_to(self.home.root)) for path in found)
        return sorted(name for name in names if name not in kept)

    def slots(self, model: str = MODEL) -> set[str]:
        folder = self.home.slots / model
        return {path.name for path in folder.iterdir()} - {"current"} if folder.is_dir() else set()


MEMORY = Path("/dev/shm")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """A device whose disk is memory where there is one: the agent syncs some 30 times an update."""
    if not os.access(MEMORY, os.W_OK):
        yield Device(tmp_path)
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="edgewright-") as folder:
        yield Device(Path(folder))


@pytest.fixture
def play() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a scene to its end, and not for ever."""

    def run(scene: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(30):
                return await scene

        return asyncio.run(limited())

    return run
