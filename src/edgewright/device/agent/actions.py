"""Which action belongs to which state; how it ended goes back as a value or an error of the tree.

Every action may be repeated: a cut can come at any point of it, and the next start does it again.
"""

from collections.abc import Mapping

from edgewright.device.agent.arrival import Arrival
from edgewright.device.agent.machine import State
from edgewright.device.agent.progress import Outcome, Progress, Release
from edgewright.device.agent.succession import Succession
from edgewright.device.agent.tools import Action, Tools
from edgewright.device.agent.trial import Trial
from edgewright.errors import DeviceError


class Actions:
    """The actions of one model's updates, by state."""

    def __init__(self, tools: Tools) -> None:
        self._arrival = Arrival(tools)
        succession = Succession(tools)
        trial = Trial(tools, succession)
        self._by_state: Mapping[State, Action] = {
            State.CHECK: self._arrival.check,
            State.DOWNLOAD: self._arrival.download,
            State.VERIFY: self._arrival.verify,
            State.STAGE: self._arrival.stage,
            State.PROBE: trial.probe,
            State.SHADOW: trial.shadow,
            State.ACTIVATE: succession.activate,
            State.PROBATION: trial.probation,
            State.COMMIT: succession.commit,
            State.ROLLBACK: succession.roll_back,
        }

    async def act(self, progress: Progress) -> Outcome:
        """Do what the state asks for.

        Raises:
            EdgewrightError: TransportError and ResourceError blame the circumstances, every other
            branch blames the release.
        """
        if progress.release is None:
            raise DeviceError(f"journal: {progress.model!r} is in {progress.state}, of no release")
        return await self._by_state[progress.state](progress, progress.release)

    def part_bytes(self, release: Release | None) -> int:
        """How much of a release's download is here."""
        return self._arrival.part_bytes(release)
