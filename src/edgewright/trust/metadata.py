"""The update order of the TUF specification (section 5) as rules over values.

A `TrustedSet` is what a client may believe at one time. Each step takes the bytes of one file and
returns a larger set, or says why not; nothing is fetched or kept here. `wanted_*` names the file
that the next step needs and the limit it must be read with. The order is root (every intermediate
one), timestamp, snapshot, targets, then delegated roles as a search asks for them.

What was kept from an earlier time enters by `knowing_*`: it may have expired since and is never
used by itself, but versions do not fall below it. When the root names other keys, what the old ones
signed no longer verifies and is forgotten: that is how a repository recovers from a stolen key that
had signed very high versions.

Metadata may be for one reader: a director's word for a device names it (`FOR_FIELD`). What names
another reader is refused before anything is taken from it, its versions least of all. What names
nobody is from a director that named nobody yet; a reader that was named once refuses it.

    >>> from datetime import UTC, datetime
    >>> from edgewright.testing.tuf_repository import TufRepository
    >>> repository = TufRepository()
    >>> trusted = TrustedSet.from_root(repository.file("1.root.json"), now=repository.now)
    >>> trusted.wanted_root.file, trusted.wanted_timestamp.file
    ('2.root.json', 'timestamp.json')
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from edgewright.errors import TrustError
from edgewright.trust.signed import parsed, require_fresh, require_signatures
from edgewright.trust.target import Target, file_name_of, quoted, require_plain_name
from edgewright.trust.tuf_api import (
    Delegations,
    LengthOrHashMismatchError,
    MetaFile,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

RolePath = tuple[str, ...]
"""A role as a search reached it: "targets", then who delegated to whom."""
TOP: RolePath = (Targets.type,)
FOR_FIELD = "for_device"
"""The signed field of timestamp, snapshot and targets that names the only device they are for."""


class MetadataLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything a repository may make a client read."""

    root_bytes: int = 512_000
    timestamp_bytes: int = 16_384
    snapshot_bytes: int = 2_000_000
    targets_bytes: int = 5_000_000
    root_rotations: int = 256
    visited_roles: int = 32


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A metadata file that the next step needs."""

    path: RolePath
    file: str
    limit_bytes: int

    @property
    def role(self) -> str:
        return self.path[-1]


class TrustedSet(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What may be believed at the time `now`. Its parts are read, never changed."""

    now: datetime
    root: Root
    limits: MetadataLimits = MetadataLimits()
    reader: str = ""
    known_timestamp: Timestamp | None = None
    timestamp: Timestamp | None = None
    known_snapshot: Snapshot | None = None
    snapshot: Snapshot | None = None
    targets: Mapping[RolePath, Targets] = {}

    @classmethod
    def from_root(
        cls,
        content: bytes,
        *,
        now: datetime,
        limits: MetadataLimits | None = None,
        reader: str = "",
    ) -> "TrustedSet":
        """Begin with a root that was handed over by a trusted way. It may have expired: a newer one
        can follow. `reader` is who reads, where the repository speaks to each by name.

        Raises:
            TrustError: it is no root, or not signed by its own keys.
        """
        metadata = parsed(content, Root, Root.type)
        require_signatures(metadata, Root.type, metadata.signed)
        limits = limits or MetadataLimits()
        return cls(now=now, root=metadata.signed, limits=limits, reader=reader)

    def at(self, now: datetime) -> "TrustedSet":
        """The same knowledge, judged at another time; before any role was judged."""
        _require_order(self.timestamp is None, "the time", "timestamp")
        return msgspec.structs.replace(self, now=now)

    @property
    def wanted_root(self) -> Wanted:
        """The next root, if there is one."""
        return _wanted((Root.type,), self.root.version + 1, self.limits.root_bytes)

    def with_root(self, content: bytes) -> "TrustedSet":
        """Follow to the next root (5.3): one version up, signed by the old keys and by its own.

        Raises:
            TrustError: another version, or signatures are missing.
        """
        _require_order(self.timestamp is None, "root", "timestamp")
        metadata = parsed(content, Root, Root.type)
        _require_version(Root.type, metadata.signed.version, self.root.version + 1)
        require_signatures(metadata, Root.type, self.root)
        require_signatures(metadata, Root.type, metadata.signed)
        return msgspec.structs.replace(self, root=metadata.signed)

    def knowing_timestamp(self, content: bytes) -> "TrustedSet":
        """Take a kept timestamp as the floor for versions.

        Raises:
            TrustError: the present root's keys did not sign it.
        """
        _require_order(self.timestamp is None, "a kept timestamp", "timestamp")
        metadata = parsed(content, Timestamp, Timestamp.type)
        require_signatures(metadata, Timestamp.type, self.root)
        return msgspec.structs.replace(self, known_timestamp=metadata.signed)

    @property
    def wanted_timestamp(self) -> Wanted:
        return _wanted((Timestamp.type,), None, self.limits.timestamp_bytes)

    def with_timestamp(self, content: bytes) -> "TrustedSet":
        """Take the repository's timestamp (5.4). One of the version that is known already changes
        nothing: the known one stays, whatever this one says.

        Raises:
            TrustError: the final root or the timestamp has expired, a version falls, it is for
            another reader, or signatures are missing.
        """
        require_fresh(self.root, Root.type, self.now)
        metadata = parsed(content, Timestamp, Timestamp.type)
        require_signatures(metadata, Timestamp.type, self.root)
        self._require_for_reader(metadata.signed, self.known_timestamp)
        timestamp, known = metadata.signed, self.known_timestamp
        if known and timestamp.version == known.version:
            timestamp = known
        elif known:
            _require_no_rollback(Timestamp.type, timestamp.version, known.version)
            _require_no_rollback(
                Snapshot.type, timestamp.snapshot_meta.version, known.snapshot_meta.version
            )
        require_fresh(timestamp, Timestamp.type, self.now)
        return msgspec.structs.replace(self, timestamp=timestamp)

    def knowing_snapshot(self, content: bytes) -> "TrustedSet":
        """Take a kept snapshot as the floor for versions, and as the snapshot itself when it is
        still the one that the timestamp names.

        Raises:
            TrustError: the present root's keys did not sign it.
        """
        meta = self._snapshot_meta()
        metadata = parsed(content, Snapshot, Snapshot.type)
        require_signatures(metadata, Snapshot.type, self.root)
        snapshot = metadata.signed
        is_current = (
            snapshot.version == meta.version
            and not snapshot.is_expired(self.now)
            and _is_promised(content, meta)
        )
        return msgspec.structs.replace(
            self, known_snapshot=snapshot, snapshot=snapshot if is_current else None
        )

    @property
    def wanted_snapshot(self) -> Wanted:
        return self._wanted_meta((Snapshot.type,), self._snapshot_meta())

    def with_snapshot(self, content: bytes) -> "TrustedSet":
        """Take the snapshot that the timestamp names (5.5).

        Raises:
            TrustError: not that one, it has expired, a role's version falls or is gone, it is for
            another reader, or signatures are missing.
        """
        meta = self._snapshot_meta()
        _require_promised(content, meta, Snapshot.type)
        metadata = parsed(content, Snapshot, Snapshot.type)
        require_signatures(metadata, Snapshot.type, self.root)
        self._require_for_reader(metadata.signed, self.timestamp)
        snapshot = metadata.signed
        for file, known in self.known_snapshot.meta.items() if self.known_snapshot else ():
            role = file.removesuffix(".json")
            if file not in snapshot.meta:
                raise TrustError(f"snapshot v{snapshot.version}: expected an entry for {role}")
            _require_no_rollback(role, snapshot.meta[file].version, known.version)
        _require_version(Snapshot.type, snapshot.version, meta.version)
        require_fresh(snapshot, Snapshot.type, self.now)
        return msgspec.structs.replace(self, snapshot=snapshot)

    def wanted_targets(self, path: RolePath) -> Wanted:
        """The file of a targets role.

        Raises:
            TrustError: the snapshot does not list it.
        """
        return self._wanted_meta(path, self._targets_meta(path))

    def with_targets(self, content: bytes, path: RolePath) -> "TrustedSet":
        """Take a targets role that the snapshot names (5.6), as its delegator on this path trusts
        it: another delegator's trust does not carry over.

        Raises:
            TrustError: not that one, it has expired, it is for another reader, or signatures are
            missing.
        """
        role, meta = path[-1], self._targets_meta(path)
        _require_promised(content, meta, role)
        metadata = parsed(content, Targets, role)
        require_signatures(metadata, role, self._delegator(path))
        self._require_for_reader(metadata.signed, self.timestamp)
        _require_version(role, metadata.signed.version, meta.version)
        require_fresh(metadata.signed, role, self.now)
        targets = {**self.targets, path: metadata.signed}
        return msgspec.structs.replace(self, targets=targets)

    def find(self, name: str) -> Target | Wanted:
        """The first role that lists a target, most trusted first (5.6.7); or the metadata that must
        be had before the search can go on.

        Raises:
            TrustError: no role that may speak about this name lists it.
        """
        require_plain_name(name)
        to_visit, visited = [TOP], set[str]()
        while to_visit:
            path = to_visit.pop()
            if path[-1] in visited:
                continue
            if len(visited) == self.limits.visited_roles:
                raise TrustError(f"target {name}: not found in {len(visited)} roles, the limit")
            if path not in self.targets:
                return self.wanted_targets(path)
            role = self.targets[path]
            if name in role.targets:
                return Target.of(role.targets[name], role=path[-1])
            visited.add(path[-1])
            if role.delegations:
                to_visit = _with_children(to_visit, path, role.delegations, name)
        raise TrustError(
            f"target {name}: expected in one of the roles {', '.join(sorted(visited))}, got none",
            hint="check the name; it may not be published yet",
        )

    def versions(self) -> dict[str, int]:
        """The version of each top-level role that is trusted now."""
        signed = (self.root, self.timestamp, self.snapshot, self.targets.get(TOP))
        return {role.type: role.version for role in signed if role}

    def listed(self) -> tuple[str, ...]:
        """The names of the targets in all roles that were taken in, sorted."""
        return tuple(sorted({name for role in self.targets.values() for name in role.targets}))

    def _require_for_reader(
        self, signed: Timestamp | Snapshot | Targets, before: Timestamp | None
    ) -> None:
        """Pass when it names this reader, or nobody where what came `before` named nobody."""
        named = _reader_of(signed)
        if not self.reader or named == self.reader or not (named or _reader_of(before)):
            return
        raise TrustError(
            f"{signed.type} v{signed.version}: expected an order for this device, {self.reader}, "
            f"got one for {named[:80] or 'no device by name'}",
            hint=f"make one for it: edgewright release export RELEASE --device {self.reader}",
        )

    def _snapshot_meta(self) -> MetaFile:
        _require_order(not self.targets, "snapshot", "targets")
        if self.timestamp is None:
            raise TrustError("snapshot: expected after timestamp, got it before")
        return self.timestamp.snapshot_meta

    def _targets_meta(self, path: RolePath) -> MetaFile:
        if self.snapshot is None:
            raise TrustError(f"{path[-1]}: expected after snapshot, got it before")
        meta = self.snapshot.meta.get(f"{path[-1]}.json")
        if meta is None:
            raise TrustError(
                f"{path[-1]}: expected an entry in snapshot v{self.snapshot.version}, got none"
            )
        return meta

    def _delegator(self, path: RolePath) -> Root | Targets:
        if path == TOP:
            return self.root
        if path[:-1] not in self.targets:
            raise TrustError(f"{path[-1]}: expected after its delegator, got it before")
        return self.targets[path[:-1]]

    def _wanted_meta(self, path: RolePath, meta: MetaFile) -> Wanted:
        is_snapshot = path == (Snapshot.type,)
        limit_bytes = self.limits.snapshot_bytes if is_snapshot else self.limits.targets_bytes
        if meta.length is not None and meta.length > limit_bytes:
            raise TrustError(
                f"{path[-1]}: expected at most {limit_bytes} bytes, {meta.length} are announced"
            )
        version = meta.version if self.root.consistent_snapshot else None
        return _wanted(path, version, limit_bytes if meta.length is None else meta.length)


def metadata_file_name(role: str) -> str:
    """The local name of a role's newest trusted metadata."""
    return f"{file_name_of(role)}.json"


def _wanted(path: RolePath, version: int | None, limit_bytes: int) -> Wanted:
    name = quoted(path[-1])
    file = f"{name}.json" if version is None else f"{version}.{name}.json"
    return Wanted(path=path, file=file, limit_bytes=limit_bytes)


def _with_children(
    to_visit: list[RolePath], path: RolePath, delegations: Delegations, name: str
) -> list[RolePath]:
    """What is left to visit, first at the end; a terminating delegation drops all that was."""
    children: list[RolePath] = []
    for role, is_terminating in delegations.get_roles_for_target(name):
        children.append((*path, role))
        if is_terminating:
            return children[::-1]
    return to_visit + children[::-1]


def _reader_of(signed: Timestamp | Snapshot | Targets | None) -> str:
    return str(signed.unrecognized_fields.get(FOR_FIELD, "")) if signed is not None else ""


def _is_promised(content: bytes, meta: MetaFile) -> bool:
    try:
        meta.verify_length_and_hashes(content)
    except LengthOrHashMismatchError:
        return False
    return True


def _require_promised(content: bytes, meta: MetaFile, role: str) -> None:
    try:
        meta.verify_length_and_hashes(content)
    except LengthOrHashMismatchError as error:
        raise TrustError(
            f"{role} v{meta.version}: expected the announced length and hashes, got: {error}",
            hint="the mirror mixes files of different versions, or changed this one",
        ) from error


def _require_version(role: str, got: int, expected: int) -> None:
    if got != expected:
        raise TrustError(f"{role}: expected version {expected}, got {got}")


def _require_no_rollback(role: str, got: int, known: int) -> None:
    if got < known:
        raise TrustError(
            f"{role}: expected version {known} or higher, got {got}",
            hint="an old version is served again; ask the repository's keeper why",
        )


def _require_order(is_in_order: bool, what: str, after: str) -> None:  # noqa: FBT001 - a claim
    if not is_in_order:
        raise TrustError(f"{what}: expected before {after}, got it after")
