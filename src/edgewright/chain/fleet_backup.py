"""All of a fleet in one file, made while it goes on working, and a fleet made of such a file.

A tar of the database as an SQLite file, the keys that are trusted, the certificates and the release
files. The database is copied by SQLite's own online backup, or row by row out of a snapshot of
another database, so that a backup of either can be restored into either. It holds the authority's
private key: keep it like a secret.
"""

import contextlib
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec
from sqlalchemy import select

from edgewright import _fs
from edgewright.chain import trust_repository
from edgewright.chain.fleet import ARRIVALS, IMAGE, PATCHES, online_key, open_fleet
from edgewright.chain.fleet_blobs import BLOBS_CHOICE, open_blobs
from edgewright.chain.fleet_database import DATABASE, DATABASE_CHOICE, choose, open_postgres
from edgewright.clock import SystemClock
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, TrustError
from edgewright.fleet.audit import Deed, verify_audit, write_down
from edgewright.fleet.director import LOST_AT_MOST, go_ahead
from edgewright.fleet.state import SqliteState, State, schema
from edgewright.fleet.state.copying import copy_rows

_INDEX = "backup.json"
_INDEX_LIMIT_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_FORMAT = 1
_CHOICES = (DATABASE_CHOICE, BLOBS_CHOICE)
"""A restored fleet has all of it in its home, until it is told otherwise."""
_SKIPPED_SUFFIXES = ("-wal", "-shm", "-journal")
_SKIPPED_FOLDERS = (ARRIVALS, PATCHES)
"""Uploads that are on their way, and differences that are made again when they are asked for."""
_SMALL_BYTES = 4 << 20
"""Larger files are releases and reports: never changed once they are there."""
_FIRST = "timestamp.json"


class BackupFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a backup."""

    name: str
    sha256: str
    size_bytes: int


class Backup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds."""

    format: int
    made_at_s: float
    audit_entries: int
    audit_hash: str
    files: tuple[BackupFile, ...]


def backup(home: Path, output: Path, *, by: str) -> Backup:
    """Write a backup of the fleet in a folder; a running server goes on meanwhile.

    Raises:
        InputError: there is no fleet, or a file of that name is there.
        ResourceError: the disk is full.
    """
    if output.exists():
        raise InputError(f"{output} exists already", hint="choose another name")
    with open_fleet(home) as office, tempfile.TemporaryDirectory(dir=home) as folder:
        now_s = office.clock.wall_s()
        with office.state.write() as connection:
            deed = Deed(at_s=now_s, who=by, what="backup made", subject=output.name)
            write_down(connection, deed)
        copy = Path(folder) / DATABASE
        _copy_database(office.state, copy)
        newest = verify_audit(office.state)
        _fetch_releases(home, office.state)
        paths = {DATABASE: copy} | _still(home, Path(folder))
        index = Backup(
            format=_FORMAT,
            made_at_s=now_s,
            audit_entries=newest.sequence if newest else 0,
            audit_hash=newest.hash if newest else "",
            files=tuple(_described(name, path) for name, path in sorted(paths.items())),
        )
        with (
            _fs.atomic_file(output, mode=0o600) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            content = encode_json(index)
            head = tarfile.TarInfo(_INDEX)
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
            for name, path in sorted(paths.items()):
                tar.add(path, arcname=name, recursive=False)
    return index


def restore(source: Path, home: Path, *, by: str, database: str = "") -> Backup:
    """Make a fleet of a backup, in a folder that does not exist yet; into the database at an
    address, when one is given, which must hold no fleet.

    Raises:
        InputError: the folder exists, the file is no backup, or the database is in use.
        TrustError: a file in it is not what its index says, or the audit log is broken.
    """
    if home.exists() and any(home.iterdir()):
        raise InputError(f"{home} is not empty", hint="restore into a new folder, then move it")
    if home.exists():
        home.rmdir()
    with _fs.atomic_folder(home) as folder:
        folder.chmod(0o700)
        index = _unpack(source, folder)
        state = SqliteState(folder / DATABASE)
        try:
            verify_audit(state)
            go_ahead(folder)
            _lift_image(folder)
            with state.write() as connection:
                deed = Deed(
                    at_s=index.made_at_s, who=by, what="backup restored", subject=source.name
                )
                write_down(connection, deed)
            if database:
                _move_into(database, state)
        finally:
            state.close()
        if database:
            (folder / DATABASE).unlink()
            choose(folder, database)
    return index


def _lift_image(home: Path) -> None:
    """Have the image repository's snapshot and timestamp, which the lost fleet went on renewing,
    be above what devices saw. What its keepers sign is theirs to lift (`trust renew --above`).
    """
    image, wall_s = home / IMAGE, SystemClock().wall_s()
    trust_repository.go_ahead(image, online_key(home), by=LOST_AT_MOST, wall_s=wall_s)


def _fetch_releases(home: Path, state: State) -> None:
    """Have every release file here, also where another store keeps them."""
    blobs = open_blobs(home)
    with state.read() as connection:
        wanted = connection.scalars(select(schema.releases.c.file_sha256).distinct()).all()
    for sha256 in wanted:
        blobs.path(sha256)


def _copy_database(state: State, copy: Path) -> None:
    if isinstance(state, SqliteState):
        state.backup(copy)
        return
    target = SqliteState(copy)
    try:
        copy_rows(state, target)
        target.fold()
    finally:
        target.close()


def _move_into(url: str, source: State) -> None:
    target = open_postgres(url)
    try:
        if verify_audit(target) is not None:
            raise InputError(
                "the database holds a fleet already", hint="create an empty one for this fleet"
            )
        copy_rows(source, target)
        verify_audit(target)
    finally:
        target.close()


def _unpack(source: Path, folder: Path) -> Backup:
    try:
        with _fs.file_errors(source, doing="reading"), tarfile.open(source, "r:") as tar:
            head = tar.next()
            if head is None or head.name != _INDEX or head.size > _INDEX_LIMIT_BYTES:
                raise InputError(f"{source} is no backup of a fleet", hint="give the right file")
            raw = tar.extractfile(head)
            index = decode_json(raw.read() if raw else b"", Backup, source=str(source))
            wanted = {file.name: file for file in index.files}
            for member in tar:
                if member is head:
                    continue
                file = wanted.pop(member.name, None)
                stream = tar.extractfile(member) if member.isreg() else None
                if file is None or stream is None or not _is_safe(member.name):
                    raise TrustError(f"{source}: {member.name[:80]!r} is not in its index")
                digest = hashlib.sha256()
                _fs.write_atomic(
                    folder / member.name,
                    _hashed(stream, digest, file.size_bytes),
                    mode=0o600,
                )
                if digest.hexdigest() != file.sha256:
                    raise TrustError(
                        f"{source}: {member.name} is not what the index says",
                        hint="take another copy of the backup",
                    )
    except tarfile.TarError as error:
        raise InputError(f"{source} is no backup of a fleet: {error}") from error
    if wanted:
        raise TrustError(f"{source}: {next(iter(wanted))} is missing", hint="take another copy")
    return index


def _hashed(stream: IO[bytes], digest: "hashlib._Hash", size_bytes: int) -> Iterator[bytes]:
    left = size_bytes + 1
    while left > 0 and (chunk := stream.read(min(_CHUNK_BYTES, left))):
        digest.update(chunk)
        left -= len(chunk)
        yield chunk


def _still(home: Path, folder: Path) -> dict[str, Path]:
    """The files beside the database by name, held in a folder so that none changes or goes any
    more: small ones as copies, large ones, which are never written twice, by a second name. What
    names other files is copied before they are listed, so that all it names are there.
    """
    found: dict[str, Path] = {}
    firsts = {name: path for name, path in _others(home, folder) if path.name == _FIRST}
    for name, path in (*firsts.items(), *_others(home, folder)):
        if name in found:
            continue
        with contextlib.suppress(FileNotFoundError):  # it was taken away since it was listed
            found[name] = _copied(path, folder / f"{len(found)}")
    return found


def _copied(path: Path, copy: Path) -> Path:
    with path.open("rb") as file:
        content = file.read(_SMALL_BYTES + 1)
    if len(content) <= _SMALL_BYTES:
        _fs.write_atomic(copy, content, mode=0o600)
        return copy
    try:
        copy.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without second names: read where it lies
        return path
    return copy


def _others(home: Path, skipped: Path) -> Iterator[tuple[str, Path]]:
    """Everything in the home but the database, what SQLite keeps beside it, and leftovers."""
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        is_inside = skipped in path.parents or path == skipped
        is_left_over = any(part.startswith(".tmp-") for part in path.relative_to(home).parts)
        is_database = name in (DATABASE, *_CHOICES) or name.endswith(_SKIPPED_SUFFIXES)
        is_passing = name.split("/", 1)[0] in _SKIPPED_FOLDERS
        if path.is_file() and not (is_inside or is_left_over or is_database or is_passing):
            yield name, path


def _described(name: str, path: Path) -> BackupFile:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return BackupFile(name=name, sha256=digest.hexdigest(), size_bytes=path.stat().st_size)


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts
