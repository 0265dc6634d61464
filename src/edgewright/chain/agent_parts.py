"""An agent put together for one device: its home, its trust, its probe, its server, its fleet."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from edgewright.chain.package import package_tools, packages_of
from edgewright.clock import SystemClock
from edgewright.device.agent import (
    PACKAGE,
    Agent,
    ContentKeys,
    Home,
    Journal,
    Numbers,
    Offload,
    Outbox,
    Policy,
    ProcessLimits,
    ProcessProbe,
    ProcessReplay,
    Recorder,
    Server,
    Settings,
    Slots,
    Tools,
)
from edgewright.device.agent.ports import Fleet
from edgewright.device.agent.step_hooks import StepHooks
from edgewright.stores import Log

PROBE_COMMAND = (sys.executable, "-m", "edgewright.chain.probe_child")
STEP_COMMAND = (sys.executable, "-m", "edgewright.chain.step_hook_child")
REPLAY_COMMAND = (sys.executable, "-m", "edgewright.chain.replay_child")


def build_agent(
    home: Home, *, server: Server, offload: Offload, fleet: Fleet | None = None
) -> Agent:
    """An agent on a home whose lock is held."""
    settings, identity = home.settings(), home.identity()
    journal = Journal(Log(home.journal_path))
    numbers = Numbers(Log(home.numbers_path))
    outbox = Outbox(Log(home.outbox_path), numbers, device=identity.device)
    recorder = Recorder(journal, outbox)
    limits = ProcessLimits(timeout_s=settings.probe_timeout_s, memory_mb=settings.probe_memory_mb)
    trust = home.trust()
    tools = Tools(
        write=recorder.write,
        slots=slots_of(home, settings),
        trust=trust,
        content_keys=ContentKeys(trust, home.sealing_key),
        probe=ProcessProbe(
            (*PROBE_COMMAND, *hook_flags(settings), f"{settings.probe_timeout_s:g}"), limits
        ),
        server=server,
        clock=SystemClock(),
        offload=offload,
        downloads=home.downloads,
        policy=Policy(
            probation_s=settings.probation_s,
            probation_error_rate=settings.probation_error_rate,
            deadlines_s=settings.deadlines_s,
            maintenance=settings.maintenance,
            allow_hooks=settings.allow_hooks,
        ),
        fleet=fleet,
        replay=ProcessReplay((*REPLAY_COMMAND, str(home.serve_socket))),
        admit=home.admit,
        step_hooks=_step_hooks(settings, offload),
        tell=recorder.tell,
    )
    packages = packages_of(home, tools.slots)
    special = {PACKAGE: package_tools(tools, packages, home, is_on=server.is_on)}
    return Agent(home, recorder, tools, special=special)


def _step_hooks(settings: Settings, offload: Offload) -> StepHooks | None:
    """None where the settings allow none."""
    if not settings.allow_step_hooks:
        return None
    limits = ProcessLimits(
        timeout_s=settings.step_hook_timeout_s, memory_mb=settings.probe_memory_mb
    )
    return StepHooks(lambda step: ProcessProbe((*STEP_COMMAND, step), limits), offload)


def slots_of(home: Home, settings: Settings) -> Slots:
    """The slots of a home, held to its settings and its trust."""
    return Slots(
        home.slots,
        home.trust(),
        budget_mb=settings.disk_budget_mb,
        reserve_mb=settings.disk_reserve_mb,
        downloads=home.downloads,
    )


def hook_flags(settings: Settings) -> tuple[str, ...]:
    """What the processes that run models are told about hooks."""
    return ("--allow-hooks",) if settings.allow_hooks else ()


@contextlib.contextmanager
def locked(home: Home) -> Iterator[None]:
    """Be the one agent of an enrolled home, for as long as the block lasts."""
    home.require_enrolled()
    with home.locked():
        yield


def home_at(path: Path) -> Home:
    """The home by its full path: other processes are told of files in it."""
    return Home(path.absolute())
