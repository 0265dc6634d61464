"""Releases: bundles that were verified when they came in, under a version that stays theirs."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from sqlalchemy import ColumnElement, Connection, insert, select
from sqlalchemy.engine import RowMapping

from edgewright._fs import file_errors, write_atomic
from edgewright.bundle import Bundle, open_bundle, verify_signatures
from edgewright.clock import Clock
from edgewright.contract import Provenance
from edgewright.errors import AbsentError, InputError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.director import Director
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema
from edgewright.fleet.swu import SwuOrder, SwuUpdate, Wrapped, swu_chunks
from edgewright.stores.base import LocalBlobStore
from edgewright.trust import TrustedKeys

_CHUNK_BYTES = 1 << 20
_SHORTEST_PREFIX = 8


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that the fleet may offer."""

    bundle_id: str
    model: str
    version: str
    format: str
    precision: str
    file_sha256: str
    file_size_bytes: int
    published_at_s: float
    published_by: str
    signers: tuple[str, ...]
    provenance: Provenance

    @property
    def text(self) -> str:
        """As people write it."""
        return f"{self.model}@{self.version}"


def wrapped_of(release: Release) -> Wrapped:
    """What an update of SWUpdate says of a release."""
    return Wrapped(
        text=release.text,
        version=release.version,
        bundle_id=release.bundle_id,
        file_sha256=release.file_sha256,
        file_size_bytes=release.file_size_bytes,
    )


class Registry(OfProject):
    """The releases of a project and their files. Files that projects have in common lie there
    once.
    """

    def __init__(
        self,
        state: State,
        *,
        blobs: LocalBlobStore,
        clock: Clock,
        trusted: Callable[[], TrustedKeys],
        director: Director | None = None,
        swu: Path | None = None,
        content_key: Callable[[Path], bytes | None] = lambda _: None,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._state = state
        self._blobs = blobs
        self._clock = clock
        self._trusted = trusted
        self._director = director
        self._swu = swu
        self._content_key = content_key
        self._project = project

    def publish(self, path: Path, *, by: str) -> Release:
        """Verify a bundle file, keep it, and offer it under its version; an encrypted one when it
        is encrypted to this fleet. Doing so again with the same bundle changes nothing.

        Raises:
            TrustError: a byte is wrong, the image repository does not list it, or, where there is
            none, too few trusted keys signed it.
            InputError: no such file, or its version belongs to another bundle.
        """
        sha256, size_bytes = _hash_file(path)
        self._blobs.add_stream(_read(path), sha256=sha256)
        try:
            file = self._blobs.path(sha256)
            bundle = open_bundle(file, content_key=self._content_key(file))
            signers = self._signers(bundle, sha256, size_bytes)
            release = self._release(bundle, sha256, size_bytes, signers, by)
            return self._keep(release)
        except (InputError, TrustError):
            if not self._is_used(sha256):
                self._blobs.remove(sha256)
            raise

    def releases(self) -> tuple[Release, ...]:
        """Every release, newest first."""
        table = schema.releases
        query = select(table).where(table.c.project == self._project)
        query = query.order_by(table.c.published_at_s.desc())
        with self._state.read() as connection:
            return tuple(_release_of(row) for row in connection.execute(query).mappings())

    def release(self, reference: str) -> Release:
        """The release that MODEL@VERSION, a bundle id or the beginning of one means.

        Raises:
            AbsentError: none has that name.
            InputError: more than one has.
        """
        with self._state.read() as connection:
            return find_release(connection, reference, project=self._project)

    def file(self, bundle_id: str) -> tuple[Release, Path]:
        """A release and where its file lies on this machine.

        Raises:
            AbsentError: there is no such release.
        """
        release = self.of_bundle(bundle_id)
        return release, self.place(release)

    def of_bundle(self, bundle_id: str) -> Release:
        """The release that is this bundle.

        Raises:
            AbsentError: there is none.
        """
        table = schema.releases
        query = select(table).where(
            table.c.project == self._project, table.c.bundle_id == bundle_id
        )
        with self._state.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise AbsentError(
                f"there is no release {bundle_id[:80]}", hint="ask for what is desired"
            )
        return _release_of(row)

    def place(self, release: Release) -> Path:
        """Where its file lies on this machine, fetched first when it has to be."""
        return self._blobs.path(release.file_sha256)

    def _signers(self, bundle: Bundle, sha256: str, size_bytes: int) -> tuple[str, ...]:
        """Who vouches for a bundle: the image repository's keepers, or keys that are trusted."""
        if self._director is None or not self._director.is_on:
            return verify_signatures(bundle, self._trusted())
        self._director.require_released(bundle, sha256=sha256, size_bytes=size_bytes)
        return tuple(signature.key_id for signature in bundle.signatures)

    def wrap(self, reference: str, order: SwuOrder, *, by: str) -> SwuUpdate:
        """Make a release an update of SWUpdate as well, in place of what it was before.

        Raises:
            AbsentError: there is no such release.
            InputError: this fleet keeps no such updates.
        """
        release = self.release(reference)
        path = self._swu_path(release.file_sha256)
        if path is None:
            raise InputError("this fleet has no folder for updates of SWUpdate")
        bundle = self._blobs.path(release.file_sha256)
        write_atomic(path, swu_chunks(wrapped_of(release), bundle, order))
        sha256, size_bytes = _hash_file(path)
        deed = Deed(
            at_s=self._clock.wall_s(),
            who=by,
            what="release wrapped for SWUpdate",
            subject=release.text,
            detail=f"{sha256} by {order.places.program}",
            project=self._project,
        )
        with self._state.write() as connection:
            write_down(connection, deed)
        return SwuUpdate(
            release=release.text,
            file=path.name,
            sha256=sha256,
            size_bytes=size_bytes,
            is_signed=bool(order.signature),
        )

    def swu_of(self, file_sha256: str) -> Path | None:
        """The update of SWUpdate that a release was wrapped in, if it was."""
        path = self._swu_path(file_sha256)
        return path if path is not None and path.exists() else None

    def _swu_path(self, file_sha256: str) -> Path | None:
        return self._swu / f"{file_sha256[:32]}.swu" if self._swu is not None else None

    def _release(
        self, bundle: Bundle, sha256: str, size_bytes: int, signers: tuple[str, ...], by: str
    ) -> Release:
        manifest = bundle.manifest
        return Release(
            bundle_id=bundle.id,
            model=manifest.name,
            version=manifest.version,
            format=manifest.format,
            precision=manifest.precision,
            file_sha256=sha256,
            file_size_bytes=size_bytes,
            published_at_s=self._clock.wall_s(),
            published_by=by,
            signers=signers,
            provenance=manifest.contract.provenance,
        )

    def _keep(self, release: Release) -> Release:
        table = schema.releases
        mine = table.c.project == self._project
        same = mine & (table.c.model == release.model) & (table.c.version == release.version)
        with self._state.write() as connection:
            known = connection.execute(select(table).where(same)).mappings().first()
            if known is not None and known["bundle_id"] == release.bundle_id:
                return _release_of(known)
            if known is not None:
                raise InputError(
                    f"{release.text} is bundle {known['bundle_id'][:12]} already, this file is "
                    f"{release.bundle_id[:12]}",
                    hint="build it again under a new version",
                )
            self._check_no_alias(connection, release)
            fields = msgspec.structs.asdict(release)
            fields["signers"] = msgspec.json.encode(release.signers).decode()
            fields["provenance"] = msgspec.json.encode(release.provenance).decode()
            connection.execute(insert(table).values(project=self._project, **fields))
            write_down(
                connection,
                Deed(
                    at_s=release.published_at_s,
                    who=release.published_by,
                    what="release published",
                    subject=release.text,
                    detail=release.bundle_id,
                    project=self._project,
                ),
            )
        return release

    def _check_no_alias(self, connection: Connection, release: Release) -> None:
        """A version and an alias of one name would be one that means two releases."""
        table = schema.aliases
        same = select(table.c.alias).where(
            table.c.project == self._project,
            table.c.model == release.model,
            table.c.alias == release.version,
        )
        if connection.scalar(same) is not None:
            raise InputError(
                f"{release.version} is an alias of {release.model}, or proposed as one",
                hint="build it again under another version",
            )

    def _is_used(self, sha256: str) -> bool:
        query = select(schema.releases.c.bundle_id).where(schema.releases.c.file_sha256 == sha256)
        with self._state.read() as connection:
            return connection.scalar(query.limit(1)) is not None


def find_release(connection: Connection, reference: str, *, project: str) -> Release:
    """The release of a project that MODEL@VERSION, MODEL@ALIAS, a bundle id or the beginning of one
    means.

    Raises:
        AbsentError: none has that name.
        InputError: more than one has, or it is no such name.
    """
    table, aliases = schema.releases, schema.aliases
    model, at, version = reference.rpartition("@")
    wanted: ColumnElement[bool]
    if at:
        meant = select(aliases.c.bundle_id).where(
            aliases.c.project == project, aliases.c.model == model, aliases.c.alias == version
        )
        wanted = (table.c.model == model) & (
            (table.c.version == version) | table.c.bundle_id.in_(meant)
        )
    elif len(reference) >= _SHORTEST_PREFIX:
        wanted = table.c.bundle_id.startswith(reference, autoescape=True)
    else:
        raise InputError(
            f"release {reference!r}: expected MODEL@VERSION, or {_SHORTEST_PREFIX} or more digits "
            "of a bundle id",
            hint="see: edgewright release list",
        )
    query = select(table).where(table.c.project == project, wanted).limit(2)
    rows = connection.execute(query).mappings().all()
    if len(rows) != 1:
        kind = InputError if rows else AbsentError
        raise kind(
            f"release {reference[:80]!r}: {'more than one has' if rows else 'none has'} that name",
            hint="see: edgewright release list",
        )
    return _release_of(rows[0])


def _release_of(row: RowMapping) -> Release:
    fields = {name: row[name] for name in Release.__struct_fields__}
    fields["signers"] = msgspec.json.decode(row["signers"], type=tuple[str, ...])
    fields["provenance"] = msgspec.json.decode(row["provenance"], type=Provenance)
    return Release(**fields)


def _hash_file(path: Path) -> tuple[str, int]:
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in _read(path):
        digest.update(chunk)
        size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes


def _read(path: Path) -> Iterator[bytes]:
    with file_errors(path, doing="reading"), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
