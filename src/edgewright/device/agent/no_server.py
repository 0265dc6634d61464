"""Where no server runs: `agent apply` on a device whose agent does not run."""

from pathlib import Path

from edgewright.device.agent.ports import CandidateSample, ServingSample


class NoServer:
    """Shows nothing and samples nothing; see `Server`."""

    is_on = False

    async def show(self, model: str, folder: Path) -> None:
        return

    async def try_out(self, model: str, folder: Path, *, leads: bool) -> None:
        return

    async def candidate(self, model: str) -> CandidateSample | None:
        return None

    async def withdraw(self, model: str) -> None:
        return

    async def sample(self, model: str) -> ServingSample:
        return ServingSample(is_ready=False, reason="no server runs here")
