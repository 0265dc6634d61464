"""Patches between releases, made when a device first asks and kept for those that follow.

A patch needs no trust: what it makes is compared with the released file. It is worth its while when
it takes less than most of the file; otherwise devices are told to fetch the file.
"""

import threading
from pathlib import Path

from edgewright import _fs
from edgewright.bundle import is_sealed, open_bundle
from edgewright.bundle.patch import encode_patch
from edgewright.errors import InputError
from edgewright.fleet.registry import Registry

WORTHWHILE = 0.9
FILE_LIMIT_BYTES = 64 << 20
KEPT = 64


class Patches:
    """The patches of one fleet, in a folder that may be emptied at any time."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self._registry = registry
        self._folder = folder
        self._lock = threading.Lock()

    def find(self, base_id: str, bundle_id: str, *, project: str) -> Path | None:
        """The patch from one release of a project to another, made now if there is none; None when
        the whole file is the better way. Takes seconds of a core the first time.

        Who has a patch and the new file can work out the old one: both are of the same project.
        """
        registry = self._registry.within(project)
        try:
            base_release, base = registry.file(base_id)
            release, file = registry.file(bundle_id)
        except InputError:
            return None
        sizes = base_release.file_size_bytes, release.file_size_bytes
        if base_release.model != release.model or max(sizes) > FILE_LIMIT_BYTES:
            return None
        if is_sealed(base) or is_sealed(file):
            return None  # what is encrypted has nothing in common with what came before
        files = base_release.file_sha256[:32], release.file_sha256[:32]
        path = self._folder / f"{'-'.join(files)}.ewp"
        with self._lock:
            if not path.exists():
                content = encode_patch(open_bundle(base), open_bundle(file))
                is_worth_it = len(content) < WORTHWHILE * release.file_size_bytes
                _fs.write_atomic(path, content if is_worth_it else b"")
                self._forget_old()
        return path if path.stat().st_size else None

    def _forget_old(self) -> None:
        paths = sorted(self._folder.glob("*.ewp"), key=lambda path: path.stat().st_mtime)
        for path in paths[:-KEPT]:
            _fs.remove_tree(path)
