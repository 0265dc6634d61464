"""The probe's parent side: starts the self-test of a bundle in a process of its own, with limits.

Whatever a model does in there (crash, hang, leak, nonsense) comes back as a verdict with a reason.
"""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.device.agent.limited import Ended, ProcessLimits, run_limited
from edgewright.device.agent.process import ending
from edgewright.telemetry import ProbeReport

FOREIGN_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

_decoder = msgspec.json.Decoder(ProbeReport)


class ProcessProbe:
    """Runs `command FOLDER`, which prints a `ProbeReport` as JSON on its last line."""

    def __init__(self, command: Sequence[str], limits: ProcessLimits) -> None:
        self._command = command
        self._limits = limits
        self._turn = asyncio.Lock()

    async def run(self, folder: Path) -> ProbeReport:
        """One probe at a time: two models' probes would time each other."""
        async with self._turn:
            with _fs.file_errors(folder, doing="probing"):
                ended = await run_limited((*self._command, str(folder)), self._limits)
        return _report(ended)


def _report(ended: Ended) -> ProbeReport:
    if ended.why_killed:
        return ProbeReport(passed=False, reason=ended.why_killed)
    try:
        report = _decoder.decode(ended.last_line)
    except msgspec.DecodeError:
        report = None
    if ended.return_code == 0 and report is not None:
        return report
    how = ending(ended.return_code)
    return ProbeReport(
        passed=False,
        reason=f"the probe's process {how} without a verdict: {ended.complaint}",
        was_killed=-ended.return_code in FOREIGN_SIGNALS,
    )
