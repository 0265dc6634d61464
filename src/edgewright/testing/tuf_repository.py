"""A TUF repository in memory, honest until a test makes it otherwise.

`publish` signs the next version of roles and puts the files where a client asks for them; `files`
is what is served, so an attack is a change to it, or to the metadata before it is published. It is
a `Fetcher`, for metadata and targets alike, and writes down what was asked.

    >>> repository = TufRepository()
    >>> repository.add_target("a.ewb", b"content")
    >>> repository.publish("targets", "snapshot", "timestamp")
    >>> sorted(repository.files)[:3]
    ['1.root.json', '1.snapshot.json', '1.targets.json']
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from edgewright.errors import TransportError
from edgewright.testing.keys import MemorySigner
from edgewright.trust.signed import add_signature, tuf_key
from edgewright.trust.target import Target
from edgewright.trust.tuf_api import (
    TOP_LEVEL_ROLE_NAMES,
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

S = TypeVar("S", bound=Signed)

ROLES = ("root", "targets", "snapshot", "timestamp")
CHUNK_BYTES = 4096


class TufRepository:
    """All four roles at version 1, each with one key; metadata expires in 30 days from `now`."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.expires = self.now + timedelta(days=30)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cuts: dict[str, int] = {}
        self.sent_bytes = 0
        self.has_metafile_hashes = False
        self.signers: dict[str, list[MemorySigner]] = {}
        self.roles: dict[str, Metadata[Any]] = {
            "root": Metadata(Root(expires=self.expires)),
            "timestamp": Metadata(Timestamp(expires=self.expires)),
            "snapshot": Metadata(Snapshot(expires=self.expires)),
            "targets": Metadata(Targets(expires=self.expires)),
        }
        self._seed = 100
        for role in ROLES:
            self.add_key(role)
        for role in ROLES:
            self._put(role)

    @property
    def root(self) -> Root:
        return self._signed("root", Root)

    @property
    def timestamp(self) -> Timestamp:
        return self._signed("timestamp", Timestamp)

    @property
    def snapshot(self) -> Snapshot:
        return self._signed("snapshot", Snapshot)

    def targets(self, role: str = "targets") -> Targets:
        return self._signed(role, Targets)

    def file(self, name: str) -> bytes:
        """What is served under a name."""
        return self.files[name]

    def new_signer(self) -> MemorySigner:
        """A key that nothing knows yet."""
        self._seed += 1
        return MemorySigner.from_seed(self._seed)

    def add_key(self, role: str, signer: MemorySigner | None = None) -> MemorySigner:
        """One more key for a top-level role; published with the next root."""
        signer = signer or self.new_signer()
        self.root.add_key(tuf_key(signer.public), role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role: str) -> None:
        """A new key in place of all that a top-level role had. The old ones of root still sign."""
        for signer in self.signers[role]:
            self.root.revoke_key(signer.public.key_id, role)
        if role != "root":
            self.signers[role].clear()
        self.add_key(role)

    def publish(self, *roles: str, is_next: bool = True) -> None:
        """Sign and serve roles, one version up unless told otherwise. Snapshot and timestamp name
        what the repository holds now.
        """
        for role in sorted(roles, key=_order):
            signed = self.roles[role].signed
            signed.version += int(is_next)
            if role == "snapshot":
                self._name_targets()
            if role == "timestamp":
                self.timestamp.snapshot_meta = self._meta_of("snapshot")
            self._put(role)

    def add_target(self, name: str, content: bytes, *, role: str = "targets") -> None:
        """Promise and serve a file; promised with the role's next version."""
        file = TargetFile.from_data(name, content, ["sha256"])
        self.targets(role).targets[name] = file
        path = Target.of(file, role=role).url_path(has_prefix=True)
        self.files[path] = content

    def delegate(
        self,
        role: str,
        *,
        delegator: str = "targets",
        paths: Iterable[str] = ("*",),
        is_terminating: bool = False,
    ) -> None:
        """Let a role speak for some names; published with the delegator's next version."""
        delegations = self._delegations_of(delegator)
        assert delegations.roles is not None  # noqa: S101 - made a line above
        signer = self.new_signer()
        delegations.keys[signer.public.key_id] = tuf_key(signer.public)
        delegations.roles[role] = DelegatedRole(
            role, [signer.public.key_id], 1, is_terminating, list(paths)
        )
        self.signers.setdefault(role, []).append(signer)
        self.roles.setdefault(role, Metadata(Targets(expires=self.expires)))

    def delegate_bins(self, *, bit_length: int, prefix: str) -> tuple[str, ...]:
        """Spread all names over hash bins; their names."""
        signer = self.new_signer()
        bins = SuccinctRoles([signer.public.key_id], 1, bit_length, prefix)
        keys = {signer.public.key_id: tuf_key(signer.public)}
        self.targets().delegations = Delegations(keys, succinct_roles=bins)
        names = tuple(bins.get_roles())
        for name in names:
            self.signers[name] = [signer]
            self.roles[name] = Metadata(Targets(expires=self.expires))
        return names

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        """As a server would answer; once cut short after as many bytes as `cuts` says."""
        self.requests.append(path)
        await asyncio.sleep(0)
        if path not in self.files:
            return None
        return self._chunks(self.files[path][offset:], cut=self.cuts.pop(path, None))

    async def _chunks(self, content: bytes, *, cut: int | None) -> AsyncIterator[bytes]:
        whole = content[:cut]
        for start in range(0, len(whole), CHUNK_BYTES):
            chunk = whole[start : start + CHUNK_BYTES]
            self.sent_bytes += len(chunk)
            yield chunk
        if cut is not None:
            raise TransportError("the connection was closed early")

    def _signed(self, role: str, kind: type[S]) -> S:
        signed = self.roles[role].signed
        assert isinstance(signed, kind)  # noqa: S101 - the table above is ours
        return signed

    def _name_targets(self) -> None:
        for role, metadata in self.roles.items():
            if isinstance(metadata.signed, Targets):
                self.snapshot.meta[f"{role}.json"] = self._meta_of(role)

    def _meta_of(self, role: str) -> MetaFile:
        version = self.roles[role].signed.version
        if not self.has_metafile_hashes:
            return MetaFile(version)
        return MetaFile.from_data(version, self.files[_file(role, version)], ["sha256"])

    def _put(self, role: str) -> None:
        metadata = self.roles[role]
        metadata.signatures.clear()
        for signer in self.signers[role]:
            add_signature(metadata, signer)
        version = None if role == "timestamp" else metadata.signed.version
        self.files[_file(role, version)] = metadata.to_bytes()

    def _delegations_of(self, role: str) -> Delegations:
        targets = self.targets(role)
        if targets.delegations is None:
            targets.delegations = Delegations({}, {})
        return targets.delegations


def _file(role: str, version: int | None) -> str:
    name = f"{quote(role, safe='')}.json"
    return name if version is None else f"{version}.{name}"


def _order(role: str) -> int:
    """Delegated roles first, then the order in which top-level roles name each other."""
    return ROLES.index(role) if role in TOP_LEVEL_ROLE_NAMES else -1
