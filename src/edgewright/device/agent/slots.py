"""Slots: unpacked bundles by their id, and the link that says which one runs.

    slots/<model>/<bundle_id>/     a whole, verified bundle
    slots/<model>/current          -> <bundle_id>, swapped by rename

A slot appears whole or not at all. It is read back and verified when it was written, before it is
activated, and before a server is told to load it.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from edgewright import _fs
from edgewright.bundle import Bundle, open_bundle, unpack
from edgewright.device.agent.ports import Trust
from edgewright.errors import EdgewrightError, InputError, ResourceError, TrustError

CURRENT = "current"
MIB = 1 << 20

_BUNDLE_ID = re.compile(r"[0-9a-f]{64}")


class Slots:
    """The slots of all models on this device."""

    def __init__(
        self,
        root: Path,
        trust: Trust,
        *,
        budget_mb: float = 2048.0,
        reserve_mb: float = 64.0,
        downloads: Path | None = None,
    ) -> None:
        self._root = root
        self._trust = trust
        self._budget_mb = budget_mb
        self._reserve_mb = reserve_mb
        self._counted = (root, downloads) if downloads else (root,)

    def folder(self, model: str, bundle_id: str) -> Path:
        """Where a bundle's slot is, or would be."""
        return self._root / model / bundle_id

    def models(self) -> list[str]:
        """The models that have any slot."""
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if path.is_dir())

    def current(self, model: str) -> str:
        """The bundle that is active, "" when none is."""
        link = self._root / model / CURRENT
        return str(link.readlink()) if link.is_symlink() else ""

    def bundles(self, model: str) -> list[str]:
        """The bundles that have a slot, sorted."""
        folder = self._root / model
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if _BUNDLE_ID.fullmatch(path.name))

    def verified(self, model: str, bundle_id: str) -> Bundle:
        """The bundle of a slot, every byte and signature checked now.

        Raises:
            InputError: there is no such slot.
            TrustError: the slot was changed, or its keys are trusted no more.
        """
        folder = self.folder(model, bundle_id)
        if not folder.is_dir():
            raise InputError(f"model {model!r} has no slot {bundle_id[:12]}", hint="apply it again")
        try:
            bundle = open_bundle(folder)
        except InputError as error:
            raise TrustError(f"slot {bundle_id[:12]}: {error}") from error
        if bundle.id != bundle_id or bundle.manifest.name != model:
            raise TrustError(
                f"slot {bundle_id[:12]} of {model!r} holds bundle {bundle.id[:12]} of "
                f"{bundle.manifest.name!r}",
                hint="it was changed on disk; apply the bundle again",
            )
        self._trust.check(bundle)
        return bundle

    def why_unusable(self, model: str, bundle_id: str) -> str:
        """The reason a slot must not be loaded, "" when it may."""
        try:
            self.verified(model, bundle_id)
        except EdgewrightError as error:
            return str(error)
        return ""

    def stage(
        self, source: Path, *, model: str, bundle_id: str, content_key: bytes | None = None
    ) -> Bundle:
        """Unpack a bundle file into its slot and read it back from the disk; an encrypted one with
        its content key. In the slot it lies as it is served, in plain text.

        Raises:
            TrustError: the file is not that bundle, or its signatures do not hold.
            ResourceError: the disk is full, or the disk budget is.
        """
        folder = self.folder(model, bundle_id)
        if folder.exists():
            if not self.why_unusable(model, bundle_id):
                return self.verified(model, bundle_id)
            _fs.remove_tree(folder)
        self.require_room(source.stat().st_size)
        try:
            unpacked = unpack(source, folder, content_key=content_key)
            if unpacked.id != bundle_id:
                raise TrustError(
                    f"{source.name} holds bundle {unpacked.id[:12]}, expected {bundle_id[:12]}"
                )
            _forget_cached(folder)
            return self.verified(model, bundle_id)
        except TrustError:
            _fs.remove_tree(folder)
            raise

    def require_room(self, size_bytes: int) -> None:
        """Pass when that much more fits the disk and the agent's own budget.

        Raises:
            ResourceError: it does not fit.
        """
        used_mb = self.used_bytes() / MIB
        size_mb = size_bytes / MIB
        if used_mb + size_mb > self._budget_mb:
            raise ResourceError(
                f"slots and downloads hold {used_mb:.1f} MB, {size_mb:.1f} MB more would exceed "
                f"the budget of {self._budget_mb:g} MB",
                hint="raise disk_budget_mb in agent.toml",
            )
        self.require_free(size_mb)

    def require_stream(self, so_far_bytes: int, *, more_bytes: int) -> None:
        """Pass when a file of unknown length may grow to `so_far_bytes` by its last `more_bytes`.
        What else the budget holds is not counted: some of that may go for the new bundle.

        Raises:
            ResourceError: the file alone is past the budget, or the disk's reserve is reached.
        """
        if so_far_bytes / MIB > self._budget_mb:
            raise ResourceError(
                f"the file is larger than the whole budget of {self._budget_mb:g} MB",
                hint="raise disk_budget_mb in agent.toml",
            )
        self.require_free(more_bytes / MIB)

    def require_free(self, size_mb: float) -> None:
        """Pass when so much fits without touching the reserve.

        Raises:
            ResourceError: it does not.
        """
        free_mb = shutil.disk_usage(_existing(self._root)).free / MIB
        if free_mb - size_mb < self._reserve_mb:
            raise ResourceError(
                f"{free_mb:.1f} MB of disk are free, {size_mb:.1f} MB are needed and "
                f"{self._reserve_mb:g} MB stay reserved",
                hint="free some space, or lower disk_reserve_mb in agent.toml",
            )

    def used_bytes(self) -> int:
        """How much all slots and downloads hold."""
        sizes = (map(_size_bytes, folder.rglob("*")) for folder in self._counted)
        return sum(map(sum, sizes))

    def activate(self, model: str, bundle_id: str) -> None:
        """Make a slot the active one, as one step."""
        if self.current(model) != bundle_id:
            _fs.swap_symlink(self._root / model / CURRENT, bundle_id)

    def deactivate(self, model: str) -> None:
        """Let no slot be active."""
        link = self._root / model / CURRENT
        if link.is_symlink():
            _fs.remove_tree(link)
            _fs.fsync_dir(link.parent)

    def collect(self, model: str, needed: Iterable[str]) -> list[str]:
        """Remove a model's slots that are not needed and whatever a cut left; returns their names.

        The active slot always stays.
        """
        folder = self._root / model
        if not folder.is_dir():
            return []
        keep = {*needed, self.current(model), CURRENT}
        removed = [entry for entry in sorted(folder.iterdir()) if entry.name not in keep]
        for entry in removed:
            _fs.remove_tree(entry)
        if not any(folder.iterdir()):
            _fs.remove_tree(folder)
        return [entry.name for entry in removed]


def _size_bytes(path: Path) -> int:
    """A file's own size; 0 for anything else, and for what is gone meanwhile."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _forget_cached(folder: Path) -> None:
    """Ask the kernel to drop its copy, so that reading back reads what the disk holds."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
