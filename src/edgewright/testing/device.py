"""Fakes of what the agent needs on a device: a probe with a set verdict, a server in memory, golden
answers as told.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from edgewright.device.agent.ports import Answer, CandidateSample, ServingSample
from edgewright.errors import DeviceError
from edgewright.telemetry import ProbeReport

T = TypeVar("T")


async def inline(work: Callable[[], T]) -> T:
    """`Offload` without a thread."""
    return work()


class FakeProbe:
    """Answers what it was told to; `on_run` sees every folder first and may raise."""

    def __init__(self, report: ProbeReport | None = None) -> None:
        self.report = report or ProbeReport(passed=True, reason="as told")
        self.folders: list[Path] = []
        self.on_run: Callable[[Path], None] = lambda _: None

    async def run(self, folder: Path) -> ProbeReport:
        self.folders.append(folder)
        self.on_run(folder)
        return self.report


class FakeServer:
    """Serves names of folders. Bundles in `refused` cannot be loaded; `samples` are given out in
    order, the last one again and again.
    """

    is_on = True

    def __init__(self) -> None:
        self.shown: dict[str, Path] = {}
        self.refused: set[str] = set()
        self.samples: list[ServingSample] = [ServingSample(is_ready=True)]
        self.history: list[str] = []
        self.tried: dict[str, Path] = {}
        self.candidates: list[CandidateSample] = [CandidateSample()]

    async def show(self, model: str, folder: Path) -> None:
        self.history.append(folder.name)
        if folder.name in self.refused:
            raise DeviceError(f"server: cannot load {folder.name[:12]}")
        self.shown[model] = folder
        self.tried.pop(model, None)

    async def try_out(self, model: str, folder: Path, *, leads: bool) -> None:
        self.history.append(f"{'lead' if leads else 'shadow'} {folder.name}")
        if folder.name in self.refused:
            raise DeviceError(f"candidate: cannot load {folder.name[:12]}")
        self.tried[model] = folder
        if leads:
            self.shown[model] = folder

    async def candidate(self, model: str) -> CandidateSample | None:
        if model not in self.tried:
            return None
        told = self.candidates
        return told.pop(0) if len(told) > 1 else told[0]

    async def withdraw(self, model: str) -> None:
        self.shown.pop(model, None)

    async def sample(self, model: str) -> ServingSample:
        return self.samples.pop(0) if len(self.samples) > 1 else self.samples[0]


class FakeReplay:
    """Gives the answers of `told[bundle id]`, the last one again and again; a bundle that nothing
    was told of answers in 10 ms. An error that was told is raised.
    """

    def __init__(self) -> None:
        self.told: dict[str, Sequence[Answer | Exception]] = {}
        self.asked: list[str] = []

    async def answers(
        self, model: str, folder: Path, *, pace_s: float
    ) -> AsyncGenerator[Answer, None]:
        self.asked.append(folder.name)
        told = list(self.told.get(folder.name, [Answer(latency_ms=10.0)]))
        while True:
            answer = told.pop(0) if len(told) > 1 else told[0]
            await asyncio.sleep(0)
            if isinstance(answer, Exception):
                raise answer
            yield answer
