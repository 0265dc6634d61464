"""The keeper's side: an image repository as a value, changed by steps that people sign.

What devices see is `published`. A change is first `staged`: new versions of the roles that it
touches, without signatures. Each key holder signs what is staged; when every staged role has its
threshold, all of it is published at once, after it was read as a device would read it. So no step
needs two people at one place, and nothing half signed is ever served.

A staged root needs the keys of the published root and its own. A role whose keys change is signed
anew; snapshot and timestamp follow whatever they name.

    >>> from datetime import UTC, datetime
    >>> from edgewright.testing import MemorySigner
    >>> alice, now = MemorySigner.from_seed(1), datetime(2030, 1, 1, tzinfo=UTC)
    >>> keys = TrustedKeys(threshold=1, keys=(alice.public,))
    >>> repository = Repository.founded(dict.fromkeys(ROLES, keys), now=now)
    >>> repository = repository.with_target("a.ewb", sha256="00" * 32, length_bytes=1, now=now)
    >>> repository.signed_by(alice).published_at(now).published.keys() == set(ROLES)
    True
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from edgewright.errors import InputError
from edgewright.trust.keys import PublicKey, Signer, TrustedKeys
from edgewright.trust.metadata import TOP, TrustedSet
from edgewright.trust.signed import add_signature, parsed, signing_keys, tuf_key
from edgewright.trust.target import require_plain_name
from edgewright.trust.tuf_api import (
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

Payload = Root | Targets | Snapshot | Timestamp

KINDS: Mapping[str, type[Payload]] = {
    "root": Root,
    "targets": Targets,
    "snapshot": Snapshot,
    "timestamp": Timestamp,
}
ROLES = tuple(KINDS)
"""In the order in which they name each other: what comes later depends on what comes before."""

LIFETIME_DAYS: Mapping[str, int] = {"root": 365, "targets": 90, "snapshot": 30, "timestamp": 7}
WARNING_SHARE = 0.25


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Signatures that a staged role still needs: `count` of these keys."""

    role: str
    count: int
    key_ids: tuple[str, ...]


class RoleState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one role, for people; `version` is the published one."""

    role: str
    version: int | None
    staged_version: int | None
    expires_s: float
    is_expiring: bool
    threshold: int
    key_ids: tuple[str, ...]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata files by role: what devices see, and what waits for signatures."""

    published: Mapping[str, bytes] = {}
    staged: Mapping[str, bytes] = {}

    @classmethod
    def founded(cls, keys: Mapping[str, TrustedKeys], *, now: datetime) -> "Repository":
        """A new repository, all of it waiting for signatures.

        Raises:
            InputError: a role has no keys.
        """
        if missing := [role for role in ROLES if role not in keys]:
            raise InputError(f"no keys for {', '.join(missing)}", hint="name at least one each")
        root = Root(roles={role: Role([], keys[role].threshold) for role in ROLES})
        for role in ROLES:
            for key in keys[role].keys:
                root.add_key(tuf_key(key), role)
        content = _expiring(root, now).to_bytes()
        return cls(staged={"root": content}).renewed(("targets",), now=now)

    def with_target(
        self,
        name: str,
        *,
        sha256: str,
        length_bytes: int,
        now: datetime,
        custom: Mapping[str, Any] | None = None,
    ) -> "Repository":
        """Promise a file from the next version on; `custom` is signed with it.

        Raises:
            TrustError: the name would leave a folder.
        """
        require_plain_name(name)
        said = {"custom": dict(custom)} if custom else {}

        def promise(targets: Payload) -> None:
            assert isinstance(targets, Targets)  # noqa: S101 - the role says so
            targets.targets[name] = TargetFile(length_bytes, {"sha256": sha256}, name, said)

        return self._with_staged(("targets",), now, promise)

    def without_target(self, name: str, *, now: datetime) -> "Repository":
        """Promise a file no more: devices that know it return to it no more.

        Raises:
            InputError: it is not promised.
        """
        if name not in self.target_names():
            raise InputError(
                f"no target {name!r}", hint=f"there are {', '.join(self.target_names()) or 'none'}"
            )

        def drop(targets: Payload) -> None:
            assert isinstance(targets, Targets)  # noqa: S101 - the role says so
            del targets.targets[name]

        return self._with_staged(("targets",), now, drop)

    def with_keys(
        self,
        role: str,
        *,
        add: Iterable[PublicKey] = (),
        remove: Iterable[str] = (),
        threshold: int | None = None,
        now: datetime,
    ) -> "Repository":
        """Other keys for a role, or another threshold, from the next root on.

        Raises:
            InputError: an unknown role or key, or fewer keys than the threshold would be left.
        """
        _require_role(role)
        removed = tuple(remove)

        def change(root: Payload) -> None:
            assert isinstance(root, Root)  # noqa: S101 - the role says so
            for key in add:
                root.add_key(tuf_key(key), role)
            for key_id in removed:
                root.revoke_key(_full_id(root, role, key_id), role)
            root.roles[role].threshold = threshold or root.roles[role].threshold
            _require_reachable(root, role)

        return self._with_staged(("root", role), now, change)

    def without_key(self, key_id: str, *, now: datetime) -> "Repository":
        """Take a key away from every role that has it.

        Raises:
            InputError: nobody has it, or a role could not be signed any more.
        """
        roles = [role for role in ROLES if any(map(_begins(key_id), self.root.roles[role].keyids))]
        if not roles:
            raise InputError(f"no role has key {key_id}", hint="trust status shows the keys")
        changed = self
        for role in roles:
            changed = changed.with_keys(role, remove=(key_id,), now=now)
        return changed

    def renewed(self, roles: Iterable[str], *, now: datetime) -> "Repository":
        """New versions of roles that say the same, for another lifetime."""
        return self._with_staged(tuple(map(_require_role, roles)), now)

    def signed_by(self, signer: Signer) -> "Repository":
        """Everything that is staged and for which this key counts, signed with it.

        Raises:
            InputError: the key counts for nothing that is staged.
        """
        key_id = signer.public.key_id
        signed: dict[str, bytes] = {}
        for role, content in self.staged.items():
            if any(key_id in root.roles[role].keyids for root in self._signing_roots(role)):
                metadata = _opened(content, role)
                add_signature(metadata, signer)
                signed[role] = metadata.to_bytes()
        if not signed:
            raise InputError(
                f"key {key_id[:12]} has nothing to sign here",
                hint="trust status shows what is staged, and whose signatures are missing",
            )
        return msgspec.structs.replace(self, staged={**self.staged, **signed})

    def lacks(self) -> tuple[Lack, ...]:
        """What is still missing before the staged versions can be published."""
        return tuple(
            lack
            for role, content in self.staged.items()
            for root in self._signing_roots(role)
            if (lack := _lack(_opened(content, role), role, root)).count
        )

    def published_at(self, now: datetime) -> "Repository":
        """The staged versions become what devices see.

        Raises:
            InputError: signatures are missing, or nothing is staged.
            TrustError: a device would refuse the result.
        """
        if not self.staged or self.lacks():
            lacking = ", ".join(f"{lack.role} ({lack.count})" for lack in self.lacks())
            raise InputError(f"nothing to publish; missing signatures: {lacking or 'none'}")
        after = Repository(published={**self.published, **self.staged})
        after.check(now, since=self.published.get("root"))
        return after

    def check(self, now: datetime, *, since: bytes | None = None) -> TrustedSet:
        """What a device makes of the published metadata that trusts the root `since` (the present
        one if absent).

        Raises:
            TrustError: it would refuse it.
        """
        newest = self.published["root"]
        trusted = TrustedSet.from_root(since or newest, now=now)
        if since not in (None, newest):
            trusted = trusted.with_root(newest)
        trusted = trusted.with_timestamp(self.published["timestamp"])
        trusted = trusted.with_snapshot(self.published["snapshot"])
        return trusted.with_targets(self.published["targets"], TOP)

    @property
    def root(self) -> Root:
        """The newest root, staged or published."""
        return _root(self.staged.get("root") or self.published["root"])

    def versions(self) -> dict[str, int]:
        """The published version of each role."""
        return {role: _signed(content, role).version for role, content in self.published.items()}

    def target_names(self) -> tuple[str, ...]:
        """What the newest targets metadata promises, staged or published."""
        content = self.staged.get("targets") or self.published["targets"]
        return tuple(sorted(parsed(content, Targets, "targets").signed.targets))

    def states(self, now: datetime) -> tuple[RoleState, ...]:
        """All roles, as they are published or will be first."""
        return tuple(self._state(role, now) for role in ROLES)

    def _state(self, role: str, now: datetime) -> RoleState:
        staged = _signed(self.staged[role], role) if role in self.staged else None
        signed = _signed(self.published[role], role) if role in self.published else staged
        assert signed is not None  # noqa: S101 - a role is published or staged
        warning = timedelta(days=LIFETIME_DAYS[role] * WARNING_SHARE)
        return RoleState(
            role=role,
            version=signed.version if role in self.published else None,
            staged_version=staged.version if staged else None,
            expires_s=signed.expires.timestamp(),
            is_expiring=now + warning >= signed.expires,
            threshold=self.root.roles[role].threshold,
            key_ids=tuple(self.root.roles[role].keyids),
        )

    def _signing_roots(self, role: str) -> list[Root]:
        """Whose keys count for a staged role."""
        roots = [self.root]
        if role == "root" and "root" in self.published:
            roots.append(_root(self.published["root"]))
        return roots

    def _with_staged(
        self,
        roles: tuple[str, ...],
        now: datetime,
        change: Callable[[Payload], None] | None = None,
    ) -> "Repository":
        """Stage the next version of roles and of all that name them; the first one changed."""
        staged = dict(self.staged)
        for role in _with_followers(roles):
            signed = self._next(role)
            if change and role == roles[0]:
                change(signed)
            if isinstance(signed, Snapshot):
                signed.meta = {"targets.json": MetaFile(self._version(staged, "targets"))}
            if isinstance(signed, Timestamp):
                signed.snapshot_meta = MetaFile(self._version(staged, "snapshot"))
            staged[role] = _expiring(signed, now).to_bytes()
        return msgspec.structs.replace(
            self, staged={role: staged[role] for role in ROLES if role in staged}
        )

    def _next(self, role: str) -> Payload:
        """What is staged already, to be changed further, or the published one a version up."""
        if role in self.staged:
            return _signed(self.staged[role], role)
        if role not in self.published:
            return KINDS[role]()
        signed = _signed(self.published[role], role)
        signed.version += 1
        return signed

    def _version(self, staged: Mapping[str, bytes], role: str) -> int:
        return _signed(staged.get(role) or self.published[role], role).version


def _opened(content: bytes, role: str) -> Metadata[Any]:
    return parsed(content, cast("Any", KINDS[role]), role)


def _signed(content: bytes, role: str) -> Payload:
    return cast("Payload", _opened(content, role).signed)


def _root(content: bytes) -> Root:
    return parsed(content, Root, "root").signed


def _expiring(signed: Payload, now: datetime) -> Metadata[Any]:
    """Without signatures, because its content is new."""
    signed.expires = now + timedelta(days=LIFETIME_DAYS[signed.type])
    return Metadata(signed)


def _with_followers(roles: tuple[str, ...]) -> list[str]:
    """The roles and those that name them: a new root alone is named by nobody."""
    first = min((ROLES.index(role) for role in roles if role != "root"), default=len(ROLES))
    return [role for role in ROLES if role in roles or ROLES.index(role) >= max(first, 1)]


def _lack(metadata: Metadata[Any], role: str, root: Root) -> Lack:
    have = signing_keys(metadata, role, root)
    wanted = root.roles[role]
    return Lack(
        role=role,
        count=max(0, wanted.threshold - len(have)),
        key_ids=tuple(key_id for key_id in wanted.keyids if key_id not in have),
    )


def _require_role(role: str) -> str:
    if role not in ROLES:
        raise InputError(f"no such role {role!r}", hint=f"the roles are {', '.join(ROLES)}")
    return role


def _require_reachable(root: Root, role: str) -> None:
    keys, threshold = len(root.roles[role].keyids), root.roles[role].threshold
    if not 1 <= threshold <= keys:
        raise InputError(
            f"{role} would have {keys} key(s) and a threshold of {threshold}",
            hint=f"first give it another key: trust rotate REPO {role} --add KEY.pub",
        )


def _full_id(root: Root, role: str, key_id: str) -> str:
    matches = [known for known in root.roles[role].keyids if _begins(key_id)(known)]
    if len(matches) != 1:
        raise InputError(
            f"{role} has {len(matches)} keys whose id begins with {key_id!r}, expected one",
            hint="trust status shows the keys",
        )
    return matches[0]


def _begins(key_id: str) -> Callable[[str], bool]:
    return lambda known: bool(key_id) and known.startswith(key_id)
