"""Faults at every system call of `agent apply FILE`, and damage on its disk: what must not break.

A case starts from a copy of a home on which bundles 1, 2 and 3 were committed one after the other,
applies bundle 4 with a fault at one call (committing it makes the slot of 2 superfluous), looks at
what is on disk, applies again, and looks again. Damage comes while no agent runs: a bit of a slot
is flipped, or the journal ends in the middle of its last line.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright.device.agent import Home, Identity, Slots
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

T = TypeVar("T")


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """One bit of one file of the active slot."""

    path: str
    offset: int


class Tear(msgspec.Struct, frozen=True, kw_only=True):
    """A cut at a call, after which only this share of the journal's last line is on the disk."""

    point: Point
    share: float


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of a harness; `old` is active in its homes, `earlier` can be returned to, `new` is
    applied, `kept` stays.
    """

    folder: Path
    earlier: frozenset[str]
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
    earlier = frozenset(bundles[:2])
    return Rig(folder=folder, earlier=earlier, old=bundles[2], new=new, kept=kept)


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
    wrong = [f"after the fault: {what}" for what in unsound(home, frozenset({rig.old, rig.new}))]
    if fault == KILL and ending.code not in KILLED:
        wrong.append(f"the process was not killed but ended with {ending.code}")
    if "Traceback" in ending.stderr:
        wrong.append(f"a traceback: {ending.stderr[-300:]}")
    wrong += _converged(rig, home, kept=rig.kept)
    shutil.rmtree(home)
    return [f"{point.state} {point.call} #{point.number} {point.path} {fault}: {w}" for w in wrong]


def check_all(
    cases: Sequence[T], check: Callable[[T], list[str]], *, done: Callable[[int], None]
) -> list[str]:
    """All of it for many cases."""
    wrong = []
    for count, case in enumerate(cases, start=1):
        wrong += check(case)
        done(count)
    return wrong


def list_flips(rig: Rig) -> list[Flip]:
    """A bit at the beginning, in the middle and at the end of every file of the active slot."""
    slot = rig.folder / "template" / "slots" / MODEL / rig.old
    files = sorted(path for path in slot.rglob("*") if path.is_file())
    return [
        Flip(path=str(path.relative_to(slot)), offset=offset)
        for path in files
        for offset in sorted({0, path.stat().st_size // 2, path.stat().st_size - 1})
    ]


def check_flip(rig: Rig, flip: Flip) -> list[str]:
    """What is wrong after a bit of the active slot was flipped while no agent ran. The next one,
    whatever it is asked for, must return to an earlier bundle before it does anything else.
    """
    home = rig.home("flipped")
    path = Home(home).slots / MODEL / rig.old / flip.path
    content = bytearray(path.read_bytes())
    content[flip.offset] ^= 1
    path.write_bytes(content)
    nothing = rig.folder / "nothing.ewb"
    nothing.write_bytes(b"no bundle")
    ending = run([*AGENT, "apply", str(nothing), "--home", str(home)])
    wrong = [f"at the next start: {what}" for what in unsound(home, rig.earlier)]
    if ending.code == 0 or "Traceback" in ending.stderr:
        wrong.append(f"no bundle ended with {ending.code}: {ending.stderr[-300:]}")
    wrong += _converged(rig, home, kept=rig.earlier | {rig.new})
    return [f"bit of {flip.path} at {flip.offset}: {what}" for what in wrong]


def list_tears(points: Sequence[Point]) -> list[Tear]:
    """The journal's last line torn at its beginning, in its middle and before its end, after a cut
    in each state of an update.
    """
    lasts = {point.state: point for point in points}
    return [Tear(point=point, share=share) for point in lasts.values() for share in (0.01, 0.5, 1)]


def check_tear(rig: Rig, tear: Tear) -> list[str]:
    """What is wrong after a cut whose last line of the journal reached the disk in part."""
    home = rig.home("torn")
    run_with_fault(rig.command(home), tear.point, KILL)
    journal = Home(home).journal_path
    content = journal.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    length = len(content) - start
    journal.write_bytes(content[: start + min(max(int(length * tear.share), 1), length - 2)])
    wrong = _converged(rig, home, kept=rig.kept | rig.earlier)
    return [f"journal torn at {tear.share:.0%} in {tear.point.state}: {what}" for what in wrong]


def _converged(rig: Rig, home: Path, *, kept: frozenset[str]) -> list[str]:
    endings = []
    for _ in range(RETRIES):
        ending = run(rig.command(home))
        endings.append(ending)
        if ending.code == 0:
            break
    wrong = [f"afterwards: {what}" for what in unsettled(home, rig.new, kept)]
    if endings[-1].code != 0:
        wrong.append(f"not converged after {RETRIES} tries: {endings[-1].stderr[-300:]}")
    return wrong


def unsound(home: Path, allowed: frozenset[str]) -> list[str]:
    """What breaks the promise of one verified active bundle, which is one of these ("" is none)."""
    place = Home(home)
    slots = Slots(place.slots, place.trust())
    current = slots.current(MODEL)
    if current not in allowed:
        return [f"active is {current[:12] or 'nothing'}"]
    damage = slots.why_unusable(MODEL, current) if current else ""
    return [f"the active slot does not verify: {damage}"] if damage else []


def unsettled(home: Path, new: str, kept: frozenset[str]) -> list[str]:
    """What is wrong in the end: the new bundle must be active and committed, with no rest."""
    rest = [f"left on disk: {name}" for name in leftovers(home, kept)]
    return uncommitted(home, new) + rest


def uncommitted(home: Path, new: str) -> list[str]:
    """Why the new bundle is not active, verified, committed and at rest."""
    wrong = unsound(home, frozenset({new}))
    progress = newest(lines_of(read_log(Home(home).journal_path)))[MODEL]
    if progress.good != new or progress.state != "idle":
        wrong.append(f"the journal says {progress.state}, good {progress.good[:12]}")
    return wrong


def leftovers(
    root: Path, slots: frozenset[str], *, also: frozenset[str] = frozenset()
) -> list[str]:
    """What a home holds beside these slots and what each home may have, which is `also` more."""
    home = Home(root)
    logs = {"journal.log", "outbox.log", "numbers.log"}
    allowed = {"identity.json", "trust.json", "trust", "lock", "slots", "downloads", *logs, *also}
    found = [path.name for path in root.iterdir() if path.name not in allowed]
    downloads = [str(p.relative_to(root)) for p in home.downloads.glob("*")]
    in_slots = [p.name for p in (home.slots / MODEL).iterdir() if p.name not in {*slots, "current"}]
    hidden = [str(path.relative_to(root)) for path in root.rglob(".tmp-*")]
    return sorted({*found, *downloads, *in_slots, *hidden})


def _must_end_well(ending: Ending) -> None:
    if ending.code != 0:
        raise RuntimeError(f"the harness itself does not work: {ending.stderr}")
