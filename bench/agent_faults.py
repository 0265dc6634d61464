"""SIGKILL, ENOSPC and EIO at every system call of an update, torn journals, flipped bits, power
cuts on a disk that forgets what was not synced, and SIGKILL of an agent that looks after its
server, in every state: the device always keeps a model.

    make prove SUITE=agent_faults

About 50 minutes; FAULTS=kill takes one kind (kill, enospc, eio, torn, flipped, power, served),
recorded apart as agent_faults-kill; EVERY=4 takes each fourth case, recorded as agent_faults-slice.

Needs strace; power cuts need root, /dev/fuse and libfuse. Prints what is wrong, and exits with 1 if
anything is.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from _agent_faults import (
    KILL,
    check_all,
    check_flip,
    check_point,
    check_tear,
    list_flips,
    list_points,
    list_tears,
    make_rig,
)
from _agent_power import check_cut, list_cuts, make_scenes
from _agent_served import Case, Finding, check_case, list_cases, one_per_state, scenes
from _results import Recording

FAULTS = {"kill": KILL, "enospc": "error=ENOSPC", "eio": "error=EIO"}
KINDS = (*FAULTS, "torn", "flipped", "power", "served")
APART = {"power", "served"}

Harness = tuple[list[Any], Callable[[Any], list[str]]]
"""The cases of a kind of fault, and what checks one."""


def main() -> None:
    """All faults, or those that FAULTS names."""
    chosen = os.environ.get("FAULTS", "")
    kinds = chosen.split(",") if chosen else list(KINDS)
    every = int(os.environ.get("EVERY", "1"))
    wrong: list[str] = []
    parts = ["agent_faults", *(kinds if chosen else ()), *(["slice"] if every > 1 else ())]
    with tempfile.TemporaryDirectory() as folder, Recording("-".join(parts)) as recording:
        for kind, (known, check) in _harnesses(kinds, Path(folder), recording):
            cases = known[::every]
            found = check_all(cases, check, done=lambda n, k=kind, c=cases: _say(k, n, c))
            recording.figures[f"{kind}_points"] = len(cases)
            recording.figures[f"{kind}_wrong"] = len(found)
            wrong += found
        recording.raw["wrong"] = wrong
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


def _harnesses(
    kinds: list[str], folder: Path, recording: Recording
) -> Iterator[tuple[str, Harness]]:
    """A harness for each kind. All but those `APART` share one rig and the calls of one update."""
    if set(kinds) - APART:
        rig = make_rig(folder)
        points = list_points(rig)
        recording.figures["known_points"] = len(points)
        recording.raw["points"] = dict(Counter(f"{p.state} {p.call}" for p in points))
    for kind in kinds:
        match kind:
            case "power":
                yield kind, _power_harness(folder / "power", recording)
            case "served":
                yield from _served_harness(folder / "served", recording)
            case "torn":
                yield kind, (list_tears(points), partial(check_tear, rig))
            case "flipped":
                yield kind, (list_flips(rig), partial(check_flip, rig))
            case _:
                yield kind, (points, partial(check_point, rig, fault=FAULTS[kind]))


def _power_harness(folder: Path, recording: Recording) -> Harness:
    scenes = make_scenes(folder)
    cuts = [cut for scene in scenes for cut in list_cuts(scene, folder)]
    operations = {cut.scene.name: len(cut.changes) for cut in cuts}
    recording.figures["power_operations"] = sum(operations.values())
    recording.figures["power_disks"] = len(cuts)
    recording.raw["power_cuts"] = dict(Counter(f"{c.scene.name} {c.loss} {c.state}" for c in cuts))
    return cuts, partial(check_cut, folder=folder / "case")


def _served_harness(folder: Path, recording: Recording) -> Iterator[tuple[str, Harness]]:
    """Its fleet and its figures live as long as the cases are checked."""
    findings: list[Finding] = []

    def check(case: Case) -> list[str]:
        findings.append(check_case(case))
        return list(findings[-1].wrong)

    with scenes(folder) as known:
        yield "served", ([c for s in known for c in one_per_state(list_cases(s))], check)
    states = Counter(f"{finding.scene} {finding.state}" for finding in findings)
    recording.figures.update(
        served_states=len(states),
        served_requests=sum(f.answered + f.missed for f in findings),
        served_missed=sum(f.missed for f in findings),
        served_settled_max_s=max(f.seconds for f in findings),
    )
    recording.raw["served_killed_in"] = dict(states)
    recording.raw["served_settled_s"] = [f.seconds for f in findings]


def _say(kind: str, done: int, points: list[object]) -> None:
    print(f"\r{kind} {done}/{len(points)} ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
