"""Power cuts during `agent apply FILE` and `agent enroll`, on disks that forget what is not synced.

A scene runs once on a recording disk; a cut comes after any of its operations. What each kind of
disk then holds is laid out as a folder: at most one model is active there and it verifies, what the
journal calls committed is there whole, and the command, given again, brings the device to the new
model without a rest. After the last operation the command has said that it went well: the new model
is active then, whatever the disk forgets.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from _agent_faults import AGENT, FILLER_BYTES, RETRIES, unsettled, unsound
from _power_disk import read_changes, recording
from edgewright.bundle import open_bundle
from edgewright.bundle.parcel import Label, write_parcel
from edgewright.device.agent import Home, Slots
from edgewright.device.agent.journal import lines_of, newest
from edgewright.errors import EdgewrightError
from edgewright.stores import read_log
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.testing.keys import MemorySigner
from edgewright.testing.kills import run
from edgewright.testing.power import Change, Disk, Left, Loss, write_out
from edgewright.trust import TrustedKeys
from edgewright.trust.release import target_name
from edgewright.trust.repository import ROLES, Repository

KEEPER = MemorySigner.from_seed(1)

_STATE = re.compile(rb'"state":"([a-z]+)"')


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What is done on a disk that holds `before`: the last of `commands` is recorded. `old` is
    active before, "" is none; in the end `new` is, beside `kept`.
    """

    name: str
    before: Path
    commands: tuple[tuple[str, ...], ...]
    new: str
    old: str = ""
    kept: frozenset[str] = frozenset()


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A power cut after this many operations of a scene, in this state of the update."""

    scene: Scene
    changes: Sequence[Change]
    count: int
    loss: Loss
    state: str

    @property
    def is_after_all(self) -> bool:
        """Whether the command had ended by then."""
        return self.count == len(self.changes)


def make_scenes(folder: Path) -> list[Scene]:
    """Enrolling by keys, the first bundle of a device, the fourth, and the second air-gap file of a
    device that trusts repositories.
    """
    folder.mkdir(exist_ok=True)
    key = folder / "key.pub"
    key.write_text(KEEPER.public.public_hex)
    enroll = ("enroll", "--key", str(key), "--device", "d1")
    files = [folder / f"{version}.ewb" for version in "1234"]
    ids = [build_tiny(f, version=f.stem, filler_bytes=FILLER_BYTES) for f in files]
    applied = [("apply", str(file)) for file in files]
    empty, enrolled = _prepared(folder / "empty"), _prepared(folder / "enrolled", enroll)
    used = _prepared(folder / "used", enroll, *applied[:3])
    return [
        Scene(name="enroll", before=empty, commands=(applied[0], enroll), new=ids[0]),
        Scene(name="first", before=enrolled, commands=(applied[0],), new=ids[0]),
        Scene(
            name="update",
            before=used,
            commands=(applied[3],),
            old=ids[2],
            new=ids[3],
            kept=frozenset({ids[0], ids[2]}),
        ),
        _parcel_scene(folder, files, ids),
    ]


def _parcel_scene(folder: Path, files: list[Path], ids: list[str]) -> Scene:
    """Two releases in one file each, with the metadata of an image repository."""
    now = datetime.now(UTC).replace(microsecond=0)
    keys = TrustedKeys(threshold=1, keys=(KEEPER.public,))
    repository = Repository.founded(dict.fromkeys(ROLES, keys), now=now)
    metadata: dict[str, bytes] = {}
    parcels = []
    for file in files[:2]:
        label = _label(file)
        repository = repository.with_target(
            target_name(label.model, label.version),
            sha256=label.file_sha256,
            length_bytes=label.file_size_bytes,
            now=now,
            custom={"bundle_id": label.bundle_id},
        )
        repository = repository.signed_by(KEEPER).published_at(now)
        for role, version in repository.versions().items():
            name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
            metadata[f"image/{name}"] = repository.published[role]
        parcels.append(file.with_suffix(".ewx"))
        write_parcel(parcels[-1], label, metadata, file)
    root = folder / "root.json"
    root.write_bytes(metadata["image/1.root.json"])
    enroll = ("enroll", "--image-root", str(root), "--device", "d1")
    first, second = (("apply", str(parcel)) for parcel in parcels)
    return Scene(
        name="parcel",
        before=_prepared(folder / "trusting", enroll, first),
        commands=(second,),
        old=ids[0],
        new=ids[1],
        kept=frozenset({ids[0]}),
    )


def _label(file: Path) -> Label:
    bundle = open_bundle(file)
    return Label(
        model=bundle.manifest.name,
        version=bundle.manifest.version,
        bundle_id=bundle.id,
        file_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        file_size_bytes=file.stat().st_size,
    )


def list_cuts(scene: Scene, folder: Path) -> list[Cut]:
    """A cut of each kind after every operation that changes or syncs the disk; of those that leave
    the same, the first.
    """
    backing, record = folder / "backing", folder / "changes"
    shutil.copytree(scene.before, backing, symlinks=True)
    with recording(backing, record) as mounted:
        _call(mounted / "home", scene.commands[-1])
    shutil.rmtree(backing)
    changes = read_changes(record)
    disk = Disk.of(scene.before)
    cuts: dict[tuple[bool, frozenset[tuple[str, Left]]], Cut] = {}
    for count, state in enumerate(_states(changes), start=1):
        disk.apply(changes[count - 1])
        for loss in Loss:
            cut = Cut(scene=scene, changes=changes, count=count, loss=loss, state=state)
            left = frozenset(disk.left(loss, seed=count).items())
            cuts.setdefault((cut.is_after_all, left), cut)
    return list(cuts.values())


def check_cut(cut: Cut, folder: Path) -> list[str]:
    """What is wrong after a cut; empty when nothing is."""
    disk = Disk.of(cut.scene.before)
    for change in cut.changes[: cut.count]:
        disk.apply(change)
    write_out(disk.left(cut.loss, seed=cut.count), folder)
    home = folder / "home"
    wrong = _broken_promises(cut, home) + _not_converged(cut.scene, home)
    shutil.rmtree(folder)
    last = cut.changes[cut.count - 1]
    where = f"{cut.scene.name} {cut.loss} #{cut.count} {cut.state} {last.kind} {last.path}"
    return [f"{where}: {what}" for what in wrong]


def _broken_promises(cut: Cut, home: Path) -> list[str]:
    scene, place = cut.scene, Home(home)
    if scene.name == "enroll":
        return _why_not_enrolled(place) if cut.is_after_all else []
    allowed = {scene.new} if cut.is_after_all else {scene.old, scene.new}
    wrong = [f"after the cut: {what}" for what in unsound(home, frozenset(allowed))]
    progress = newest(lines_of(read_log(place.journal_path))).get(MODEL)
    if progress and progress.good:
        damage = Slots(place.slots, place.trust()).why_unusable(MODEL, progress.good)
        wrong += [f"what was committed is not usable: {damage}"] if damage else []
    return wrong


def _why_not_enrolled(home: Home) -> list[str]:
    try:
        home.trust()
        home.identity()
    except EdgewrightError as error:
        return [f"it said that it was enrolled: {error}"]
    return []


def _not_converged(scene: Scene, home: Path) -> list[str]:
    wrong = []
    for words in reversed(scene.commands):
        if words[0] == "enroll" and not _why_not_enrolled(Home(home)):
            continue
        endings = list(_tried(home, words))
        if endings[-1]:
            wrong.append(f"{words[0]} does not end well in {RETRIES} tries: {endings[-1]}")
        wrong += [f"a traceback: {text}" for text in endings if "Traceback" in text]
    return wrong or [
        f"afterwards: {what}"
        for what in unsettled(home, scene.new, frozenset({*scene.kept, scene.new}))
    ]


def _tried(home: Path, words: Sequence[str]) -> Iterator[str]:
    """The last words of each try, "" where it went well."""
    for _ in range(RETRIES):
        ending = run([*AGENT, *words, "--home", str(home)])
        yield (ending.stderr or "no word")[-300:] if ending.code else ""
        if ending.code == 0:
            return


def _states(changes: Sequence[Change]) -> Iterator[str]:
    """The update's state after each change, as the journal says it."""
    state = "idle"
    for change in changes:
        found = _STATE.search(change.data) if change.path.endswith("journal.log") else None
        state = found[1].decode() if found else state
        yield state


def _prepared(disk: Path, *commands: Sequence[str]) -> Path:
    disk.mkdir()
    for words in commands:
        _call(disk / "home", words)
    return disk


def _call(home: Path, words: Sequence[str]) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*AGENT, *words, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        raise RuntimeError(f"the harness itself does not work: {' '.join(command)}")
