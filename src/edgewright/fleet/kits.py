"""The kits of models that devices are to measure: files beside the database, one a command, from
the first part that a person sends until the device has told what came of it.
"""

import shutil
from collections.abc import Collection
from pathlib import Path

from edgewright import _fs
from edgewright.errors import AbsentError, ConflictError, InputError, ResourceError
from edgewright.wire.kits import HEAD_LIMIT_BYTES, KIT_MOST_BYTES, PREFIX_BYTES
from edgewright.wire.remote_commands import KIT_PART_BYTES

SPARED_BYTES = 64 << 20
"""What kits leave of the disk for everything else."""
MOST_BYTES = KIT_MOST_BYTES + HEAD_LIMIT_BYTES + PREFIX_BYTES


class Kits:
    """Kits by the number of their command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, number: int, content: bytes, *, at: int) -> int:
        """Keep the part that begins at a byte; the size so far. A part that came before, whose
        answer was lost, is not kept twice.

        Raises:
            ConflictError: parts are missing before it.
            InputError: the part or the kit is too large, or the part is empty.
            ResourceError: the disk is nearly full.
        """
        if not 0 < len(content) <= KIT_PART_BYTES:
            raise InputError(f"a part of {len(content)} bytes, 1 to {KIT_PART_BYTES} are taken")
        if at + len(content) > MOST_BYTES:
            raise InputError(f"a kit of more than {MOST_BYTES} bytes")
        path, have = self._path(number), self.size(number)
        if at + len(content) <= have:
            return have
        if at != have:
            raise ConflictError(f"a part from byte {at} on, expected from {have} on")
        if shutil.disk_usage(_fs.make_dirs(self._folder)).free < len(content) + SPARED_BYTES:
            raise ResourceError(
                f"the fleet's disk has less than {SPARED_BYTES >> 20} MiB left",
                hint="free some space there",
            )
        try:
            with _fs.appended_file(path, mode=0o600) as file:
                file.write(content)
        except BaseException:
            if path.exists():
                _fs.truncate(path, have)
            raise
        return have + len(content)

    def part(self, number: int, *, at: int) -> bytes:
        """A part from a byte on, empty at the end.

        Raises:
            AbsentError: there is no such kit.
        """
        path = self._path(number)
        if not path.exists():
            raise AbsentError(f"command {number} has no kit")
        with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
            file.seek(at)
            return file.read(KIT_PART_BYTES)

    def size(self, number: int) -> int:
        """Bytes so far."""
        try:
            return self._path(number).stat().st_size
        except FileNotFoundError:
            return 0

    def drop(self, number: int) -> None:
        """Let a kit go."""
        _fs.remove_tree(self._path(number))

    def drop_others(self, numbers: Collection[int]) -> None:
        """Let go of all kits but these."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in set(map(str, numbers)):
                    _fs.remove_tree(path)

    def _path(self, number: int) -> Path:
        return self._folder / str(number)
