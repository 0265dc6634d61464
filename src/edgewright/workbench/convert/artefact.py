"""What a converter made, before it reaches the disk: one file, or several that belong together."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import onnx

from edgewright import _fs
from edgewright.contract import Contract
from edgewright.runtimes.base import Array


class Artefact(msgspec.Struct, frozen=True):
    """Files by their path below the output folder. `main` is the file or folder that people name;
    `notes` say what a reader of the record should know (a fallback, a fixed batch).
    """

    main: str
    files: dict[str, bytes]
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(len(content) for content in self.files.values())

    @property
    def sha256(self) -> str:
        """Of the file; of names and hashes where there are several."""
        if len(self.files) == 1:
            return hashlib.sha256(next(iter(self.files.values()))).hexdigest()
        whole = hashlib.sha256()
        for name in sorted(self.files):
            whole.update(f"{hashlib.sha256(self.files[name]).hexdigest()} {name}\n".encode())
        return whole.hexdigest()

    def write(self, folder: Path) -> Path:
        """Write everything below a folder, the named file last; returns the path of `main`."""
        path = folder / self.main
        if self.main not in self.files:
            _fs.remove_tree(path)
            with _fs.atomic_folder(path) as temp:
                for name, content in sorted(self.files.items()):
                    _fs.write_atomic(temp / Path(name).relative_to(self.main), content)
            return path
        for name in sorted(self.files, key=lambda name: name == self.main):
            _fs.write_atomic(folder / name, self.files[name])
        return path


class Wishes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a vendor's tool must be told; empty means the tool's own default.

    `arch` is the chip (`hailo8`, `ethos-u55-128`, `rk3588`, ...), `start` and `end` are tensors to
    cut the graph at.
    """

    arch: str = ""
    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    timeout_s: float = 1800.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One model on its way into one format. `lite` is set where the source is a LiteRT file."""

    stem: str
    model: onnx.ModelProto
    contract: Contract | None = None
    calibration: Mapping[str, Array] = {}
    wishes: Wishes = Wishes()
    lite: bytes = b""
