"""Scripts that a bundle brings for steps of the agent: each in a process of its own, with limits.

They are for what stands beside the model on its device: to ask a machine whether it may be changed
now, to tell a neighbour that it was. The signed manifest names them, the device's admin allows
them, and the slot was verified just before. A script may run again after a cut and must bear that.
"""

from collections.abc import Callable
from pathlib import Path

from edgewright.bundle import open_bundle
from edgewright.bundle.hooks import Step, step_blobs
from edgewright.device.agent.ports import Offload, Probe

MOST_S = 30.0
"""Well within the deadline of each state that runs one."""


class StepHooks:
    """Runs the scripts of a bundle; `runner` gives the process for a step's."""

    def __init__(self, runner: Callable[[Step], Probe], offload: Offload) -> None:
        self._runner = runner
        self._offload = offload

    async def run(self, step: Step, folder: Path) -> str:
        """Why the bundle's script of a step failed; "" when it went well or there is none."""
        blobs = await self._offload(lambda: step_blobs(open_bundle(folder).manifest))
        if step not in blobs:
            return ""
        report = await self._runner(step).run(folder)
        return "" if report.passed else f"{step}.py: {report.reason}"
