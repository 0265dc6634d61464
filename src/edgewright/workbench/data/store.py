"""Datasets on disk: immutable, under the hash of their content, in pack files.

A dataset is three files however many recordings it has: `dataset.json`, `samples.f32` and
`labels.i16`. It appears whole or not at all, and what is opened is hashed again.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright._fs import atomic_folder, file_errors, read_limited, write_atomic
from edgewright.contract import Channel, decode_json, encode_json
from edgewright.errors import InputError
from edgewright.workbench.data.recordings import Dataset, Recording

STORE_FOLDER = Path(".edgewright", "datasets")
"""Where a project keeps its datasets."""

_MANIFEST = "dataset.json"
_SAMPLES = "samples.f32"
_LABELS = "labels.i16"
_LIMIT_BYTES = 256 * 2**20
_SCHEMA_VERSION = 1
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


class Lineage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a dataset came from: the command that made it, when, and the datasets it was made
    of.
    """

    command: str = ""
    when: str = ""
    parents: tuple[str, ...] = ()


class _Packed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    subject: str
    start: int
    count: int


class DatasetManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `dataset.json` says; `recordings` tells where in the pack each one lies."""

    schema_version: int
    content_hash: str
    source: str
    rate_hz: float
    channels: tuple[Channel, ...]
    label_names: tuple[str, ...]
    recordings: tuple[_Packed, ...]
    notes: tuple[str, ...]
    lineage: Lineage

    @property
    def sample_count(self) -> int:
        """Samples of all recordings together."""
        return sum(each.count for each in self.recordings)


class DatasetStore:
    """The datasets under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, dataset: Dataset, *, lineage: Lineage | None = None) -> str:
        """Keep a dataset; adding the same content again changes nothing. Returns its hash."""
        name = dataset.content_hash
        folder = self._root / name
        if folder.exists():
            return name
        with atomic_folder(folder) as new:
            write_atomic(new / _SAMPLES, (_bytes(r.samples, "<f4") for r in dataset.recordings))
            write_atomic(new / _LABELS, (_bytes(r.label, "<i2") for r in dataset.recordings))
            write_atomic(new / _MANIFEST, encode_json(_manifest(dataset, lineage or Lineage())))
        return name

    def open(self, name: str) -> Dataset:
        """A dataset by its hash or an unambiguous beginning of it; samples are memory mapped.

        Raises:
            InputError: there is no such dataset, or its files are not what their name says.
        """
        folder = self._root / self.resolve(name)
        manifest = self.manifest(folder.name)
        dataset = _unpack(folder, manifest)
        if dataset.content_hash != folder.name:
            raise _damaged(folder)
        return dataset

    def has(self, name: str) -> bool:
        """Whether a dataset of exactly this hash is here."""
        return name in self._names()

    def manifest(self, name: str) -> DatasetManifest:
        """What is known of a dataset without reading its samples."""
        path = self._root / self.resolve(name) / _MANIFEST
        content = read_limited(path, limit_bytes=_LIMIT_BYTES)
        manifest = decode_json(content, DatasetManifest, source=str(path))
        if manifest.schema_version != _SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema_version is {manifest.schema_version}, this edgewright reads "
                f"{_SCHEMA_VERSION}",
                hint="import the data again",
            )
        return manifest

    def files(self, name: str) -> tuple[Path, ...]:
        """What a dataset consists of on disk."""
        folder = self._root / self.resolve(name)
        return tuple(folder / each for each in (_MANIFEST, _SAMPLES, _LABELS))

    def list(self) -> tuple[DatasetManifest, ...]:
        """Every dataset here, in the order of their hashes."""
        return tuple(self.manifest(name) for name in self._names())

    def resolve(self, name: str) -> str:
        """The full hash for a beginning of it.

        Raises:
            InputError: none or several datasets begin like this.
        """
        names = self._names()
        found = [each for each in names if _PREFIX.fullmatch(name) and each.startswith(name)]
        if len(found) != 1:
            what = "is ambiguous" if found else "is not in the store"
            known = " ".join(each[:12] for each in found or names) or "nothing"
            raise InputError(f"dataset {name!r} {what}", hint=f"there is {known}")
        return found[0]

    def _names(self) -> tuple[str, ...]:
        if not self._root.is_dir():
            return ()
        return tuple(sorted(p.name for p in self._root.iterdir() if (p / _MANIFEST).is_file()))


def _bytes(array: NDArray[np.float32] | NDArray[np.int16], dtype: str) -> bytes:
    return np.ascontiguousarray(array, dtype).tobytes()


def _manifest(dataset: Dataset, lineage: Lineage) -> DatasetManifest:
    packed, start = [], 0
    for each in dataset.recordings:
        packed.append(_Packed(name=each.name, subject=each.subject, start=start, count=len(each)))
        start += len(each)
    return DatasetManifest(
        schema_version=_SCHEMA_VERSION,
        content_hash=dataset.content_hash,
        source=dataset.source,
        rate_hz=dataset.rate_hz,
        channels=dataset.channels,
        label_names=dataset.label_names,
        recordings=tuple(packed),
        notes=dataset.notes,
        lineage=lineage,
    )


def _unpack(folder: Path, manifest: DatasetManifest) -> Dataset:
    shape = (manifest.sample_count, len(manifest.channels))
    samples = _mapped(folder / _SAMPLES, "<f4", shape)
    labels = _mapped(folder / _LABELS, "<i2", shape[:1])
    recordings = []
    for each in manifest.recordings:
        part = slice(each.start, each.start + each.count)
        recordings.append(
            Recording(samples[part], labels[part], each.subject, each.name, manifest.rate_hz)
        )
    return Dataset(
        tuple(recordings),
        manifest.channels,
        manifest.label_names,
        manifest.rate_hz,
        manifest.source,
        notes=manifest.notes,
    )


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    with file_errors(path, doing="reading"):
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if path.stat().st_size != wanted:
            raise _damaged(path.parent)
        if wanted == 0:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, mode="r", shape=shape)


def _damaged(folder: Path) -> InputError:
    return InputError(
        f"dataset {folder}: its files are not what its name says",
        hint="delete the folder and import the data again",
    )
