"""The agent wired for one device: its home, its trust, its probe, its server, its fleet."""

import asyncio
import contextlib
import logging
import random
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from edgewright import _fs
from edgewright.bundle import Recipient
from edgewright.chain.agent_line import fleet_of
from edgewright.chain.package import hand_over, package_tools, packages_of, start_anew
from edgewright.clock import SystemClock
from edgewright.device.agent import (
    PACKAGE,
    Agent,
    AgentStatus,
    ContentKeys,
    Control,
    Daemon,
    Done,
    Home,
    Journal,
    NoServer,
    Numbers,
    Offload,
    Order,
    Outbox,
    Packages,
    PackageServer,
    Policy,
    ProbeLimits,
    ProcessProbe,
    ProcessReplay,
    Progress,
    Recorder,
    RemoteHands,
    Server,
    ServerOrder,
    ServerProcess,
    Settings,
    Slots,
    Tools,
    read_status,
    send_order,
    write_support_bundle,
)
from edgewright.device.agent.package import HEALTHY_S
from edgewright.device.agent.ports import Fleet
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.stores import Log
from edgewright.wire.remote_commands import RemoteCommand

PROBE_COMMAND = (sys.executable, "-m", "edgewright.chain.probe_child")
REPLAY_COMMAND = (sys.executable, "-m", "edgewright.chain.replay_child")
STDIN_LIMIT_BYTES = 2 << 30
CHUNK_BYTES = 1 << 20
SUPPORT_FILE = ".tmp-support.tar.gz"
SUPPORT_LIMIT_BYTES = 1 << 20

logger = logging.getLogger(__name__)

T = TypeVar("T")


def run(home: Path) -> None:
    """Be this device's agent until SIGTERM or SIGINT.

    Raises:
        ResourceError: another agent works on this home, or no server can be started.
    """
    place = _home(home)
    place.require_enrolled()
    hand_over(place, _slots(place, place.settings()))
    with _locked(place):
        asyncio.run(_run(place))


def run_once(home: Path) -> list[Progress]:
    """Ask the fleet once, do what it wants, tell it what came of it."""
    with _locked(_home(home)):
        return asyncio.run(_run_once(_home(home)))


def apply(path: Path, *, home: Path) -> Progress:
    """Bring a bundle file as far as it gets, by the agent that runs or else by this process.

    Raises:
        EdgewrightError: it was not activated; the error says why, the old model stays.
    """
    place = _home(home)
    place.require_enrolled()
    if place.is_locked:
        return _ordered(place, "apply", Order(path=str(path.absolute())))
    with _locked(place):
        return asyncio.run(_apply(place, path))


def apply_stream(stream: IO[bytes], *, home: Path) -> Progress:
    """The same for a bundle that arrives on a stream."""
    place = _home(home)
    place.require_enrolled()
    if place.is_locked:
        with _spooled(stream, place.root / f".tmp-{_stdin_name()}") as path:
            return _ordered(place, "apply", Order(path=str(path)))
    with _locked(place):
        return asyncio.run(_apply_stream(place, stream))


def rollback(home: Path, *, model: str, reason: str) -> Progress:
    """Return a model to the bundle before; needs no fleet.

    Raises:
        InputError: there is no such model, or nothing to return to.
        DeviceError: no earlier bundle verifies and serves.
    """
    place = _home(home)
    place.require_enrolled()
    if place.is_locked:
        return _ordered(place, "rollback", Order(model=model, reason=reason))
    with _locked(place):
        return asyncio.run(_rollback(place, model, reason))


def cancel(home: Path, *, model: str, reason: str) -> Progress:
    """End a model's update; it goes on with what it ran before.

    Raises:
        InputError: there is no such model, it is idle, or no agent runs on this home.
    """
    place = _home(home)
    place.require_enrolled()
    if not place.is_locked:
        raise InputError(
            f"no agent runs on {place.root}, so no update is under way",
            hint="an update that was cut off goes on when it starts; `agent rollback` goes back",
        )
    return _ordered(place, "cancel", Order(model=model, reason=reason))


def recipient(home: Path) -> Recipient:
    """Whom bundles for this device are encrypted to; its key is made when there is none.

    Raises:
        InputError: the device was not enrolled.
    """
    place = _home(home)
    place.require_enrolled()
    return place.recipient()


def status(home: Path) -> AgentStatus:
    """What the home says, whether an agent runs or not."""
    place = _home(home)
    slots = _slots(place, place.settings())
    return read_status(place, slots, wall_s=SystemClock().wall_s())


def support_bundle(home: Path, output: Path) -> tuple[str, ...]:
    """Gather in one file what somebody needs who helps from afar; returns the names of its parts.

    Raises:
        InputError: there is no such home.
        ResourceError: the disk is full or failed.
    """
    at_s = SystemClock().wall_s()
    return write_support_bundle(output, _home(home), status=lambda: status(home), at_s=at_s)


def build_agent(
    home: Home, *, server: Server, offload: Offload, fleet: Fleet | None = None
) -> Agent:
    """An agent on a home whose lock is held."""
    settings, identity = home.settings(), home.identity()
    journal = Journal(Log(home.journal_path))
    numbers = Numbers(Log(home.numbers_path))
    outbox = Outbox(Log(home.outbox_path), numbers, device=identity.device)
    recorder = Recorder(journal, outbox)
    limits = ProbeLimits(timeout_s=settings.probe_timeout_s, memory_mb=settings.probe_memory_mb)
    trust = home.trust()
    tools = Tools(
        write=recorder.write,
        slots=_slots(home, settings),
        trust=trust,
        content_keys=ContentKeys(trust, home.sealing_key),
        probe=ProcessProbe((*PROBE_COMMAND, *_hook_flags(settings)), limits),
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
    )
    packages = packages_of(home, tools.slots)
    special = {PACKAGE: package_tools(tools, packages, home, is_on=server.is_on)}
    return Agent(home, recorder, tools, special=special)


async def _run(home: Home) -> None:
    settings, clock = home.settings(), SystemClock()
    server = ServerProcess(_server_order(home, settings), clock)
    loop = asyncio.get_running_loop()
    async with fleet_of(home) as fleet, _worker_thread() as offload:
        agent = build_agent(home, server=server, offload=offload, fleet=fleet)
        daemon = Daemon(agent, poll_s=settings.poll_s, rng=random.Random())  # noqa: S311 - jitter
        server.on_broken = daemon.server_broke
        hands = _remote_hands(home, agent, server, fleet)
        if hands:
            daemon.on_desired = hands.look
        _watch_package(agent, daemon)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        control = await Control(agent, daemon).listen(home.control_socket, clock)
        try:
            await server.start()
            await _lived(daemon, packages_of(home, agent.tools.slots))
        finally:
            if hands:
                await hands.close()
            await control.close()
            if not daemon.wants_restart:
                await server.stop()
        # Not after the loop was closed: that would end the server, a child of its own.
        if daemon.wants_restart:
            await server.leave()
            logger.info("starting anew, the server goes on")
            start_anew(home)


def _watch_package(agent: Agent, daemon: Daemon) -> None:
    """Start anew when another package is to run, and see that this one lives."""
    package_server = agent.tools_of(PACKAGE).server
    if isinstance(package_server, PackageServer):
        package_server.on_restart = daemon.restart
    packages = packages_of(agent.home, agent.tools.slots)
    asyncio.get_running_loop().call_later(HEALTHY_S, packages.note_health)


async def _lived(daemon: Daemon, packages: Packages) -> None:
    """Run until told to stop: code that ends when it is told to lives, however short it ran."""
    await daemon.run()
    if not daemon.wants_restart:
        packages.note_health()


def _remote_hands(
    home: Home, agent: Agent, server: ServerProcess, fleet: Fleet | None
) -> RemoteHands | None:
    """What people may have this device do from afar, as far as its settings allow."""
    if fleet is None:
        return None

    async def restart(_: RemoteCommand) -> Done:
        await server.restart()
        return Done(text=f"the server runs anew as process {server.pid}")

    async def probe(command: RemoteCommand) -> Done:
        model = agent.only_model(command.model)
        current = agent.tools.slots.current(model)
        if not current:
            raise DeviceError(f"model {model} has no active bundle")
        report = await agent.tools.probe.run(agent.tools.slots.folder(model, current))
        if not report.passed:
            raise DeviceError(f"{model} {current[:12]}: {report.reason}")
        return Done(text=msgspec.json.encode(report).decode())

    async def gather(_: RemoteCommand) -> Done:
        path = home.root / SUPPORT_FILE
        parts = await agent.tools.offload(lambda: support_bundle(home.root, path))
        try:
            content = _fs.read_limited(path, limit_bytes=SUPPORT_LIMIT_BYTES)
        finally:
            _fs.remove_tree(path)
        return Done(text=f"{len(parts)} parts: {', '.join(parts)}", upload=content)

    deeds = {"restart-server": restart, "probe": probe, "support-bundle": gather}
    allowed = home.settings().remote_commands
    return RemoteHands(fleet, deeds, allowed=allowed, clock=SystemClock())


async def _run_once(home: Home) -> list[Progress]:
    async with fleet_of(home) as fleet:
        agent = build_agent(home, server=NoServer(), offload=_inline, fleet=fleet)
        await agent.settle()
        return await agent.follow_once()


async def _apply(home: Home, path: Path) -> Progress:
    agent = build_agent(home, server=NoServer(), offload=_inline)
    await agent.settle()
    return await agent.apply(path)


async def _apply_stream(home: Home, stream: IO[bytes]) -> Progress:
    agent = build_agent(home, server=NoServer(), offload=_inline)
    await agent.settle()
    with _spooled(stream, home.downloads / _stdin_name()) as path:
        return await agent.apply(path)


async def _rollback(home: Home, model: str, reason: str) -> Progress:
    agent = build_agent(home, server=NoServer(), offload=_inline)
    await agent.settle()
    return await agent.go_back(reason, agent.update(agent.only_model(model)))


async def _inline(work: Callable[[], T]) -> T:
    """Blocking work where nothing else is waiting: one thread, one order of writes."""
    return work()


@contextlib.asynccontextmanager
async def _worker_thread() -> AsyncIterator[Offload]:
    """One thread for disk work, so that two models never write at the same time."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="agent-disk") as pool:

        async def offload(work: Callable[[], T]) -> T:
            return await asyncio.get_running_loop().run_in_executor(pool, work)

        yield offload


def _server_order(home: Home, settings: Settings) -> ServerOrder:
    command = [sys.executable, "-m", "edgewright", "serve", "--http", settings.serve_http]
    return ServerOrder(
        command=(
            *command,
            "--uds",
            str(home.serve_socket),
            "--admin",
            str(home.admin_socket),
            *_hook_flags(settings),
        ),
        admin=home.admin_socket,
        log=home.server_log,
        candidate_memory_mb=settings.probe_memory_mb,
    )


def _hook_flags(settings: Settings) -> tuple[str, ...]:
    return ("--allow-hooks",) if settings.allow_hooks else ()


def _slots(home: Home, settings: Settings) -> Slots:
    return Slots(
        home.slots,
        home.trust(),
        budget_mb=settings.disk_budget_mb,
        reserve_mb=settings.disk_reserve_mb,
        downloads=home.downloads,
    )


def _ordered(home: Home, name: str, order: Order) -> Progress:
    progress = asyncio.run(send_order(home.control_socket, name, order))
    if progress is None:
        raise TransportError(f"the agent did not say what came of {name!r}", hint="ask its status")
    return progress


@contextlib.contextmanager
def _locked(home: Home) -> Iterator[None]:
    home.require_enrolled()
    with home.locked():
        yield


@contextlib.contextmanager
def _spooled(stream: IO[bytes], path: Path) -> Iterator[Path]:
    """A stream as a file of the home; a leftover of a cut goes at the next start.

    Raises:
        InputError: it is longer than any bundle.
    """
    try:
        with _fs.atomic_file(path) as file:
            left = STDIN_LIMIT_BYTES
            while chunk := stream.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise InputError(f"stdin: more than {STDIN_LIMIT_BYTES} bytes")
                file.write(chunk)
        yield path
    finally:
        _fs.remove_tree(path)


def _stdin_name() -> str:
    return f"stdin-{secrets.token_hex(8)}.ewb"


def _home(path: Path) -> Home:
    """The home by its full path: other processes are told of files in it."""
    return Home(path.absolute())
