"""What a cut or a finished update leaves on disk, and which of it goes."""

from collections.abc import Iterable
from pathlib import Path

from edgewright import _fs
from edgewright.device.agent.home import Home
from edgewright.device.agent.machine import Event, State
from edgewright.device.agent.progress import CRASHED, STOPPED, Progress
from edgewright.device.agent.slots import Slots

RESUMABLE = frozenset({Event.FAILED, Event.TIMED_OUT, Event.CANCELLED, CRASHED, STOPPED})


def tidy_start(home: Home, slots: Slots, models: dict[str, Progress]) -> None:
    """Once, before anything runs: temp files everywhere, slots and downloads nobody needs."""
    for folder in (home.root, home.downloads, home.slots):
        _fs.remove_leftovers(folder)
    for model in {*slots.models(), *models}:
        progress = models.get(model, Progress(model=model))
        if progress.good or progress.state is not State.IDLE or not slots.current(model):
            slots.collect(model, progress.needed)
    tidy_downloads(home.downloads, models.values())


def tidy_downloads(folder: Path, models: Iterable[Progress]) -> None:
    """Remove every download that no update will go on with."""
    if not folder.is_dir():
        return
    needed = {name for progress in models for name in _needed_names(progress)}
    for path in sorted(folder.iterdir()):
        if path.name not in needed:
            _fs.remove_tree(path)


def _needed_names(progress: Progress) -> tuple[str, ...]:
    release = progress.release
    if release is None or progress.why_bad(release.bundle_id):
        return ()
    if progress.state is State.IDLE and progress.event not in RESUMABLE:
        return ()
    if release.origin == "file":
        return (Path(release.path).name,)
    download = tuple(f"{release.file_sha256}.{kind}" for kind in ("part", "patch", "ewb"))
    return (*download, Path(release.path).name) if release.origin == "parcel" else download
