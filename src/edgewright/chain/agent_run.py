"""The agent's own process: `python -m edgewright.chain.agent_run [--verbose] HOME`.

`edgewright agent run` becomes it (`agent_process`): what lives as long as the device shall be
small, and the command line's parser is not needed any more.
"""

import asyncio
import contextlib
import logging
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edgewright._heap import keep_one_heap, trim_heap
from edgewright.chain.agent_frozen import serve_frozen
from edgewright.chain.agent_hands import remote_hands
from edgewright.chain.agent_line import fleet_of
from edgewright.chain.agent_parts import build_agent, home_at, hook_flags, locked, slots_of
from edgewright.chain.agent_process import VERBOSE
from edgewright.chain.logs import log_to_stderr
from edgewright.chain.package import hand_over, packages_of, start_anew
from edgewright.clock import SystemClock
from edgewright.device.agent import (
    PACKAGE,
    Agent,
    Control,
    Daemon,
    Home,
    Offload,
    Packages,
    PackageServer,
    ServerOrder,
    ServerProcess,
    Settings,
)
from edgewright.device.agent.package import HEALTHY_S
from edgewright.errors import INTERRUPTED_EXIT_CODE, EdgewrightError

logger = logging.getLogger(__name__)

T = TypeVar("T")


def run(home: Path) -> None:
    """Be this device's agent until SIGTERM or SIGINT.

    Raises:
        ResourceError: another agent works on this home, or no server can be started.
    """
    place = home_at(home)
    place.require_enrolled()
    hand_over(place, slots_of(place, place.settings()))
    if place.is_read_only and not _waited_for_the_disk(place):
        return
    with locked(place):
        asyncio.run(_run(place))


def _waited_for_the_disk(home: Home) -> bool:
    """Serve what was committed until the disk can be written (True) or somebody ends this."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch, home.locked(is_frozen=True):
        order = _server_order(home, home.settings(), folder=Path(scratch))
        return asyncio.run(serve_frozen(home, ServerProcess(order, SystemClock())))


async def _run(home: Home) -> None:
    settings, clock = home.settings(), SystemClock()
    server = ServerProcess(_server_order(home, settings), clock)
    loop = asyncio.get_running_loop()
    async with fleet_of(home) as fleet, _worker_thread() as offload:
        agent = build_agent(home, server=server, offload=offload, fleet=fleet)
        daemon = Daemon(agent, poll_s=settings.poll_s, rng=random.Random())  # noqa: S311 - jitter
        server.on_broken = daemon.server_broke
        daemon.on_rest = trim_heap
        hands = remote_hands(home, agent, server, fleet)
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


@contextlib.asynccontextmanager
async def _worker_thread() -> AsyncIterator[Offload]:
    """One thread for disk work, so that two models never write at the same time."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="agent-disk") as pool:

        async def offload(work: Callable[[], T]) -> T:
            return await asyncio.get_running_loop().run_in_executor(pool, work)

        yield offload


def _server_order(home: Home, settings: Settings, *, folder: Path | None = None) -> ServerOrder:
    """The server's command line; its sockets and log lie in the home, or in another folder."""
    place = Home(folder) if folder else home
    command = [sys.executable, "-m", "edgewright", "serve", "--http", settings.serve_http]
    return ServerOrder(
        command=(
            *command,
            "--uds",
            str(place.serve_socket),
            "--admin",
            str(place.admin_socket),
            *hook_flags(settings),
        ),
        admin=place.admin_socket,
        log=place.server_log,
        candidate_memory_mb=settings.probe_memory_mb,
    )


def main() -> None:
    """Be the agent of the home that the command line names, and exit as the command line would."""
    *flags, home = sys.argv[1:]
    log_to_stderr(verbose=VERBOSE in flags)
    keep_one_heap()
    try:
        run(Path(home))
    except EdgewrightError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    main()
