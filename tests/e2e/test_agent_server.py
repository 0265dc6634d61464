"""The server's keeper against a server that hangs: a real process, stopped in its tracks."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgewright.bundle import unpack
from edgewright.clock import SystemClock
from edgewright.device.agent import ServerOrder, ServerProcess
from edgewright.testing.bundles import MODEL, build_tiny

pytestmark = pytest.mark.timeout(120)


def slot(folder: Path, version: str) -> Path:
    build_tiny(folder / f"{version}.ewb", version=version)
    unpack(folder / f"{version}.ewb", folder / version)
    return folder / version


def with_server(
    folder: Path, scene: Callable[[ServerProcess], Awaitable[None]], *, log: str = "log"
) -> None:
    command = [sys.executable, "-m", "edgewright", "serve", "--uds", str(folder / "s.sock")]
    order = ServerOrder(
        command=[*command, "--admin", str(folder / "a.sock")],
        admin=folder / "a.sock",
        log=folder / log,
        patience_s=3.0,
    )

    async def run() -> None:
        server = ServerProcess(order, SystemClock())
        try:
            await server.show(MODEL, slot(folder, "1"))
            await scene(server)
        finally:
            await server.stop()

    asyncio.run(run())


def stop_process(server: ServerProcess) -> int:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_server_that_hangs_is_not_ready(tmp_path: Path) -> None:
    async def scene(server: ServerProcess) -> None:
        assert (await server.sample(MODEL)).is_ready
        pid = stop_process(server)
        sample = await server.sample(MODEL)
        os.kill(pid, signal.SIGCONT)
        assert (sample.is_ready, sample.reason) == (False, "no answer within 3 s")
        assert (await server.sample(MODEL)).is_ready

    with_server(tmp_path, scene)


def test_another_bundle_is_shown_though_the_server_hangs(tmp_path: Path) -> None:
    async def scene(server: ServerProcess) -> None:
        pid = stop_process(server)
        await server.show(MODEL, slot(tmp_path, "2"))
        assert server.pid != pid
        assert (await server.sample(MODEL)).is_ready

    with_server(tmp_path, scene)


def test_a_server_that_is_just_being_started_is_waited_for_and_ended_in_the_end(
    tmp_path: Path,
) -> None:
    """As an agent leaves it that is killed at that moment."""
    command = [sys.executable, "-m", "edgewright", "serve", "--uds", str(tmp_path / "s.sock")]
    with subprocess.Popen([*command, "--admin", str(tmp_path / "a.sock")]) as left:

        async def scene(server: ServerProcess) -> None:
            assert server.pid == left.pid
            assert (await server.sample(MODEL)).is_ready

        with_server(tmp_path, scene)
        assert left.poll() == 0


def test_a_server_that_was_there_before_ours_is_ended_with_ours(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgewright", "serve", "--uds", str(tmp_path / "s.sock")]
    others: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([*command, "--admin", str(tmp_path / "a.sock")])

    async def scene(server: ServerProcess) -> None:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        others.append(start())

    with_server(tmp_path, scene)
    assert others[0].wait(30) in (0, -signal.SIGTERM)


def test_a_full_disk_under_its_log_does_not_keep_a_server_from_serving(tmp_path: Path) -> None:
    async def scene(server: ServerProcess) -> None:
        assert (await server.sample(MODEL)).is_ready

    with_server(tmp_path, scene, log="/dev/full")
