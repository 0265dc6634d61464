"""SIGKILL, ENOSPC and EIO at every system call of an update, torn journals and flipped bits: the
device always keeps a model.

    make prove SUITE=agent_faults

About 25 minutes; FAULTS=kill takes one kind (kill, enospc, eio, torn, flipped), recorded apart
as agent_faults-kill; EVERY=4 takes each fourth case, recorded as agent_faults-slice.

Needs strace. Prints what is wrong, and exits with 1 if anything is.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from _agent_faults import (
    KILL,
    Rig,
    check_all,
    check_flip,
    check_point,
    check_tear,
    list_flips,
    list_points,
    list_tears,
    make_rig,
)
from _results import Recording
from edgewright.testing.kills import Point

FAULTS = {"kill": KILL, "enospc": "error=ENOSPC", "eio": "error=EIO"}


def main() -> None:
    """All faults, or those that FAULTS names."""
    chosen = os.environ.get("FAULTS", "")
    kinds = chosen.split(",") if chosen else [*FAULTS, "torn", "flipped"]
    every = int(os.environ.get("EVERY", "1"))
    wrong: list[str] = []
    part = "slice" if every > 1 else "-".join(kinds) if chosen else ""
    suite = f"agent_faults-{part}" if part else "agent_faults"
    with tempfile.TemporaryDirectory() as folder, Recording(suite) as recording:
        rig = make_rig(Path(folder))
        known = list_points(rig)
        points = known[::every]
        recording.figures["known_points"] = len(known)
        recording.raw["points"] = dict(Counter(f"{p.state} {p.call}" for p in points))
        for kind in kinds:
            cases, check = _harness(kind, rig, known, every)
            found = check_all(cases, check, done=lambda n, k=kind, c=cases: _say(k, n, c))
            recording.figures[f"{kind}_points"] = len(cases)
            recording.figures[f"{kind}_wrong"] = len(found)
            wrong += found
        recording.raw["wrong"] = wrong
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


def _harness(
    kind: str, rig: Rig, points: list[Point], every: int
) -> tuple[list[Any], Callable[[Any], list[str]]]:
    """The cases of a kind of fault, each `every`-th of them, and what checks one."""
    if kind == "torn":
        return list_tears(points)[::every], partial(check_tear, rig)
    if kind == "flipped":
        return list_flips(rig)[::every], partial(check_flip, rig)
    return points[::every], partial(check_point, rig, fault=FAULTS[kind])


def _say(kind: str, done: int, points: list[object]) -> None:
    print(f"\r{kind} {done}/{len(points)} ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
