"""Faults at every system call of `agent apply FILE`: what each of them must not break.

A case starts from a copy of a home on which bundles 1, 2 and 3 were committed one after the other,
applies bundle 4 with a fault at one call (committing it makes the slot of 2 superfluous), looks at
what is on disk, applies again, and looks again.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgewright.device.agent import Home, Identity, PinnedKeys, Slots
from edgewright.device.agent.journal import lines_of, newest
from edgewright.stores import read_log
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.testing.keys import MemorySigner
from edgewright.testing.kills import Ending, Point, record, run, run_with_fault
from edgewright.trust import TrustedKeys

FILLER_BYTES = 256 * 1024
KILL = "signal=SIGKILL"
KILLED = (-9, 137)
RETRIES = 2


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of a harness; `old` is active in its homes, `new` is applied, `kept` stays."""

    folder: Path
    old: str
    new: str
    kept: frozenset[str]

    def command(self, home: Path) -> list[str]:
        """Apply the new bundle."""
        return [*AGENT, "apply", str(self.folder / "new.ewb"), "--home", str(home)]

    def home(self, name: str) -> Path:
        """A fresh copy of the home on which the old bundle is committed."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.folder / "template", path, symlinks=True)
        return path


AGENT = (sys.executable, "-m", "edgewright", "agent")


def make_rig(folder: Path) -> Rig:
    """Enrol a device, commit three bundles, pack the fourth."""
    signer = MemorySigner.from_seed(1)
    keys = TrustedKeys(threshold=1, keys=(signer.public,))
    home = Home(folder / "template")
    home.save_enrolment(Identity(device="d1"), keys)
    bundles = []
    for version in ("1", "2", "3"):
        path = folder / "old.ewb"
        bundles.append(build_tiny(path, version=version, filler_bytes=FILLER_BYTES))
        _must_end_well(run([*AGENT, "apply", str(path), "--home", str(home.root)]))
    new = build_tiny(folder / "new.ewb", version="4", filler_bytes=FILLER_BYTES)
    kept = frozenset({bundles[0], bundles[2], new})
    return Rig(folder=folder, old=bundles[2], new=new, kept=kept)


def list_points(rig: Rig) -> list[Point]:
    """Every call of an update that changes the home."""
    home = rig.home("recorded")
    points = record(rig.command(home), below=home, trace=rig.folder / "trace")
    _must_end_well(run(rig.command(home)))
    return points


def check_point(rig: Rig, point: Point, fault: str, *, name: str = "case") -> list[str]:
    """What is wrong after this fault; empty when nothing is."""
    home = rig.home(name)
    ending = run_with_fault(rig.command(home), point, fault)
    wrong = [f"after the fault: {what}" for what in _unsound(rig, home, is_settled=False)]
    if fault == KILL and ending.code not in KILLED:
        wrong.append(f"the process was not killed but ended with {ending.code}")
    if "Traceback" in ending.stderr:
        wrong.append(f"a traceback: {ending.stderr[-300:]}")
    wrong += _converged(rig, home)
    shutil.rmtree(home)
    return [f"{point.state} {point.call} #{point.number} {point.path} {fault}: {w}" for w in wrong]


def check_all(
    rig: Rig, points: Sequence[Point], fault: str, *, done: Callable[[int], None]
) -> list[str]:
    """All of it for many points."""
    wrong = []
    for count, point in enumerate(points, start=1):
        wrong += check_point(rig, point, fault)
        done(count)
    return wrong


def _converged(rig: Rig, home: Path) -> list[str]:
    endings = []
    for _ in range(RETRIES):
        ending = run(rig.command(home))
        endings.append(ending)
        if ending.code == 0:
            break
    wrong = [f"afterwards: {what}" for what in _unsound(rig, home, is_settled=True)]
    if endings[-1].code != 0:
        wrong.append(f"not converged after {RETRIES} tries: {endings[-1].stderr[-300:]}")
    return wrong


def _unsound(rig: Rig, home: Path, *, is_settled: bool) -> list[str]:
    """What breaks a promise: one verified active bundle, and in the end the new one and no rest."""
    place = Home(home)
    slots = Slots(place.slots, PinnedKeys(place.trusted_keys()))
    current = slots.current(MODEL)
    wrong = []
    if current not in ({rig.new} if is_settled else {rig.old, rig.new}):
        wrong.append(f"active is {current[:12] or 'nothing'}")
    elif damage := slots.why_unusable(MODEL, current):
        wrong.append(f"the active slot does not verify: {damage}")
    if is_settled:
        contents = read_log(place.journal_path)
        progress = newest(lines_of(contents))[MODEL]
        if progress.good != rig.new or progress.state != "idle":
            wrong.append(f"the journal says {progress.state}, good {progress.good[:12]}")
        wrong += [f"left on disk: {name}" for name in _leftovers(place, rig.kept)]
    return wrong


def _leftovers(home: Home, slots: frozenset[str]) -> list[str]:
    root = home.root
    logs = {"journal.log", "outbox.log", "numbers.log"}
    allowed = {"identity.json", "trust.json", "lock", "slots", "downloads", *logs}
    found = [path.name for path in root.iterdir() if path.name not in allowed]
    downloads = [str(p.relative_to(root)) for p in home.downloads.glob("*")]
    in_slots = [p.name for p in (home.slots / MODEL).iterdir() if p.name not in {*slots, "current"}]
    hidden = [str(path.relative_to(root)) for path in root.rglob(".tmp-*")]
    return sorted({*found, *downloads, *in_slots, *hidden})


def _must_end_well(ending: Ending) -> None:
    if ending.code != 0:
        raise RuntimeError(f"the harness itself does not work: {ending.stderr}")
