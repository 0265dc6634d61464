"""The server's keeper where a start fails or a model goes meanwhile; its process is played."""

import asyncio
import signal
from pathlib import Path

import pytest

from edgewright.device.agent import ServerOrder, ServerProcess
from edgewright.device.agent.process import Process
from edgewright.device.agent.server import RESTART_PAUSE_S
from edgewright.errors import ResourceError
from edgewright.testing import FakeClock

WAIT_S = 5.0


class Played:
    """A process that ends when it is told to."""

    pid = 1

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        return not self._ended.is_set()

    async def wait(self) -> str:
        await self._ended.wait()
        return "ended"

    def send(self, number: signal.Signals) -> None:
        self._ended.set()


class Keeper(ServerProcess):
    """A keeper whose starts fail so many times, and whose loads are told."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        order = ServerOrder(command=["none"], admin=folder / "a.sock", log=folder / "log")
        super().__init__(order, self.clock)
        self.fails = 0
        self.started: list[Played] = []
        self.loaded: list[str] = []
        self.serves = asyncio.Event()

    async def _spawn(self) -> Process:
        if self.fails:
            self.fails -= 1
            raise ResourceError("the disk is full")
        self.started.append(Played())
        return self.started[-1]

    async def _answering(self, process: Process) -> None:
        self.serves.set()

    async def _load(self, model: str, folder: Path) -> None:
        self.loaded.append(model)
        if model == "first":
            self._folders["new"] = folder
            self._folders["moved"] = folder / "2"
            await self.withdraw("gone")

    async def serving(self) -> None:
        self.serves.clear()
        await asyncio.wait_for(self.serves.wait(), WAIT_S)


def test_a_model_that_goes_while_another_is_loaded_is_skipped(tmp_path: Path) -> None:
    async def story() -> list[str]:
        keeper = Keeper(tmp_path)
        keeper._folders = dict.fromkeys(("first", "gone", "moved", "last"), tmp_path)
        await keeper.start()
        await keeper.stop()
        return keeper.loaded

    assert asyncio.run(story()) == ["first", "last"]


def test_a_server_that_died_is_tried_again_ever_more_seldom(tmp_path: Path) -> None:
    async def story() -> list[float]:
        keeper = Keeper(tmp_path)
        await keeper.start()
        keeper.fails = 3
        keeper.started[0].send(signal.SIGKILL)
        await keeper.serving()
        await keeper.stop()
        return keeper.clock.slept_s

    assert asyncio.run(story()) == [RESTART_PAUSE_S * 2**n for n in range(4)]


def test_a_restart_that_fails_says_so_and_is_tried_again(tmp_path: Path) -> None:
    async def story() -> int:
        keeper = Keeper(tmp_path)
        await keeper.start()
        keeper.fails = 2
        with pytest.raises(ResourceError, match="disk is full"):
            await keeper.restart()
        await keeper.serving()
        await keeper.stop()
        return len(keeper.started)

    assert asyncio.run(story()) == 2


def test_no_more_tries_after_a_stop(tmp_path: Path) -> None:
    async def story() -> int:
        keeper = Keeper(tmp_path)
        await keeper.start()
        keeper.fails = 1000
        with pytest.raises(ResourceError):
            await keeper.restart()
        await keeper.stop()
        left = keeper.fails
        for _ in range(20):
            await asyncio.sleep(0)
        return left - keeper.fails

    assert asyncio.run(story()) == 0
