"""What a finished stage leaves behind, so that it can be found again and followed back.

A stage's *key* is the hash of all that could change its outcome: the manifests of the stages before
it, its options, the files it reads, the code it runs and the versions of the libraries under it.
The outputs of a key lie in one folder that appears whole or not at all, with a manifest; the
manifest's own hash is the stage's id in the lineage (dataset, run, variant) that a bundle carries.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgewright._fs import (
    atomic_folder,
    file_errors,
    fsync_dir,
    make_dirs,
    read_limited,
    remove_leftovers,
    remove_tree,
    write_atomic,
)
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError

MANIFEST_LIMIT_BYTES = 4 << 20
MANIFEST = "stage.json"

_CHUNK_BYTES = 1 << 20


class StageManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finished stage."""

    stage: str
    key: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    facts: dict[str, str | int | float]
    seconds: float
    finished_at: str
    schema_version: int = 1

    @property
    def id(self) -> str:
        """The manifest's own hash."""
        return hashlib.sha256(encode_json(self)).hexdigest()


class FinishedStage(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest and the folder that its outputs lie in."""

    manifest: StageManifest
    folder: Path

    def output(self, name: str) -> Path:
        """An output's path.

        Raises:
            InputError: the stage has no such output.
        """
        if name not in self.manifest.outputs:
            raise InputError(
                f"stage {self.manifest.stage} left no {name}",
                hint=f"it left {', '.join(sorted(self.manifest.outputs))}",
            )
        return self.folder / name


class StageStore:
    """The folders of finished stages, under a project's `.edgewright/`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, stage: str, key: str) -> FinishedStage | None:
        """A finished stage whose outputs are all still what they were; else None."""
        folder = self._folder(stage, key)
        if not (folder / MANIFEST).is_file():
            return None
        content = read_limited(folder / MANIFEST, limit_bytes=MANIFEST_LIMIT_BYTES)
        manifest = decode_json(content, StageManifest, source=str(folder / MANIFEST))
        if manifest.key != key or hash_outputs(folder) != manifest.outputs:
            return None
        return FinishedStage(manifest=manifest, folder=folder)

    def newest(self, stage: str) -> Path:
        """The folder of the stage that was finished last.

        Raises:
            InputError: it never was.
        """
        found = [path.parent for path in (self._root / "stages" / stage).glob(f"*/{MANIFEST}")]
        if not found:
            raise InputError(f"stage {stage} was not run yet", hint="edgewright run --to " + stage)
        return max(found, key=lambda folder: (folder / MANIFEST).stat().st_mtime)

    @contextmanager
    def beginning(self, stage: str, key: str) -> Iterator["Draft"]:
        """A folder to write outputs into; when all went well it takes the place of an older one."""
        folder = self._folder(stage, key)
        fresh = folder.with_name(f"{folder.name}.new")
        remove_leftovers(folder.parent)
        remove_tree(fresh)
        with atomic_folder(fresh) as temp:
            yield Draft(temp)
        remove_tree(folder)
        fresh.rename(folder)
        fsync_dir(folder.parent)
        self.clear_desk(stage, key)

    def finished(self, stage: str, key: str) -> FinishedStage:
        """The stage that was just kept; its manifest also joins the store of all manifests."""
        found = self.find(stage, key)
        if found is None:
            raise InputError(f"stage {stage} left no whole folder", hint="run it again")
        write_atomic(
            self._root / "manifests" / f"{found.manifest.id}.json", encode_json(found.manifest)
        )
        return found

    def manifest(self, manifest_id: str) -> StageManifest:
        """A manifest by its id, for following lineage.

        Raises:
            InputError: nobody here made it.
        """
        path = self._root / "manifests" / f"{manifest_id}.json"
        return decode_json(
            read_limited(path, limit_bytes=MANIFEST_LIMIT_BYTES), StageManifest, source=str(path)
        )

    def desk(self, stage: str, key: str) -> Path:
        """Where a stage may leave what a stopped run can go on from."""
        return make_dirs(self._desk(stage, key))

    def clear_desk(self, stage: str, key: str) -> None:
        """Forget what a stopped run left."""
        remove_tree(self._desk(stage, key))

    def _desk(self, stage: str, key: str) -> Path:
        return self._root / "desks" / f"{stage}-{key[:24]}"

    def _folder(self, stage: str, key: str) -> Path:
        return self._root / "stages" / stage / key[:24]


class Draft:
    """The outputs of a stage that is running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finish(self, manifest: StageManifest) -> None:
        """Hash what lies in the folder and write the manifest beside it."""
        whole = msgspec.structs.replace(manifest, outputs=hash_outputs(self.folder))
        for path in self.folder.rglob("*"):
            if path.is_dir():
                fsync_dir(path)
        write_atomic(self.folder / MANIFEST, encode_json(whole))


def hash_outputs(folder: Path) -> dict[str, str]:
    """Every file below a folder but the manifest, by relative name."""
    return {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def hash_file(path: Path) -> str:
    """A file's SHA-256.

    Raises:
        InputError: there is no such file.
    """
    digest = hashlib.sha256()
    with file_errors(path, doing="reading"), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_value(value: object) -> str:
    """The hash of a value's one JSON text."""
    return hashlib.sha256(encode_json(value)).hexdigest()


def stage_key(stage: str, parts: Mapping[str, object]) -> str:
    """The key of a stage, from everything that could change its outcome."""
    return hash_value({"stage": stage, "parts": dict(parts)})


def ensure_root(root: Path) -> None:
    """Create the store's folder, marked as not for people's backups or commits."""
    make_dirs(root)
    if not (root / ".gitignore").exists():
        write_atomic(root / ".gitignore", b"*\n")
