"""1,000 good updates and 200 bad ones through the real rule of probation.

    make prove SUITE=probation

About four minutes. Records the times of golden answers from a real server of this machine first.
Prints what is wrong, and exits with 1 when more than one good update was refused or a bad one
passed.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

import numpy as np

from _probation import BAD, MACHINES, Times, bad_passed, good_refused, recorded
from _results import Recording
from edgewright.bundle import unpack
from edgewright.chain.agent_parts import REPLAY_COMMAND
from edgewright.device.agent import ProcessReplay
from edgewright.testing.bundles import MODEL, build_tiny

GOOD, BAD_COUNT = 1000, 200
RECORDED = 1500
PACE_S = 0.02
START_S = 60.0


def main() -> None:
    """All updates, a fifth of them on each kind of machine."""
    with Recording("probation") as recording:
        times_ms = _record()
        machines = {**MACHINES, "recorded": recorded(times_ms)}
        refused = [why for n in range(GOOD) if (why := good_refused(n, machines))]
        passed = [what for n in range(BAD_COUNT) if (what := bad_passed(n, machines))]
        recording.figures.update(
            good_updates=GOOD,
            good_refused=len(refused),
            bad_updates=BAD_COUNT,
            bad_passed=len(passed),
            recorded_median_ms=round(float(np.median(times_ms)), 3),
            recorded_p95_ms=round(float(np.quantile(times_ms, 0.95)), 3),
        )
        recording.raw.update(
            refused=refused, passed=passed, classes={name: what for name, (what, _) in BAD.items()}
        )
    for line in (*refused, *passed):
        print(line)
    sys.exit(1 if len(refused) > 1 or passed else 0)


def _record() -> Times:
    """Times of golden answers of a real server, in the order in which they came."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_tiny(folder / "b.ewb")
        unpack(folder / "b.ewb", folder / "slot")
        socket = folder / "s.sock"
        command = [sys.executable, "-m", "edgewright", "serve", str(folder / "slot")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*command, "--uds", str(socket)], stdout=log, stderr=log)
        try:
            deadline_s = time.monotonic() + START_S
            while not socket.exists() and time.monotonic() < deadline_s:
                time.sleep(0.1)
            return np.array(asyncio.run(_answer_times(socket, folder / "slot")))
        finally:
            server.terminate()
            server.wait()


async def _answer_times(socket: Path, folder: Path) -> list[float]:
    replay = ProcessReplay((*REPLAY_COMMAND, str(socket)))
    times_ms: list[float] = []
    async with aclosing(replay.answers(MODEL, folder, pace_s=PACE_S)) as stream:
        async for answer in stream:
            times_ms.append(answer.latency_ms)
            if len(times_ms) == RECORDED:
                break
    return times_ms


if __name__ == "__main__":
    main()
