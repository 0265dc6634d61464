"""SIGKILL, ENOSPC and EIO at every system call of an update: the device always keeps a model.

    make prove SUITE=agent_faults

About 20 minutes; FAULTS=kill takes one kind, EVERY=4 each fourth point, recorded as
agent_faults-slice.

Needs strace. Prints what is wrong, and exits with 1 if anything is.
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from _agent_faults import KILL, check_all, list_points, make_rig
from _results import Recording

FAULTS = {"kill": KILL, "enospc": "error=ENOSPC", "eio": "error=EIO"}


def main() -> None:
    """All faults, or those that FAULTS names."""
    kinds = os.environ.get("FAULTS", ",".join(FAULTS)).split(",")
    every = int(os.environ.get("EVERY", "1"))
    wrong: list[str] = []
    suite = "agent_faults" if every == 1 else "agent_faults-slice"
    with tempfile.TemporaryDirectory() as folder, Recording(suite) as recording:
        rig = make_rig(Path(folder))
        known = list_points(rig)
        points = known[::every]
        recording.figures["known_points"] = len(known)
        recording.raw["points"] = dict(Counter(f"{p.state} {p.call}" for p in points))
        for kind in kinds:
            found = check_all(rig, points, FAULTS[kind], done=lambda n, k=kind: _say(k, n, points))
            recording.figures[f"{kind}_points"] = len(points)
            recording.figures[f"{kind}_wrong"] = len(found)
            wrong += found
        recording.raw["wrong"] = wrong
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


def _say(kind: str, done: int, points: list[object]) -> None:
    print(f"\r{kind} {done}/{len(points)} ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
