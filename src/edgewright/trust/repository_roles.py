"""A repository's metadata files by role, read: who speaks for what, whose signatures are missing,
what a device would make of it, what people should know. `repository` changes them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from edgewright.errors import InputError
from edgewright.trust import delegations
from edgewright.trust.metadata import TOP, RolePath, TrustedSet
from edgewright.trust.role_state import Lack, RoleState, joined_lacks, joined_states, warning
from edgewright.trust.signed import parsed, signing_keys
from edgewright.trust.tuf_api import (
    DelegatedRole,
    Key,
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
"""The top-level roles, in the order in which they name each other."""


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata files by role: what devices see, and what waits for signatures. Published ones of
    roles that nobody delegates to any more stay: versions never fall.
    """

    published: Mapping[str, bytes] = {}
    staged: Mapping[str, bytes] = {}

    def lacks(self) -> tuple[Lack, ...]:
        """What is still missing before the staged versions can be published."""
        return joined_lacks(
            (_lack(opened(content, role), role, delegator, label=self._label(role)), number)
            for role, content in self.staged.items()
            for number, delegator in enumerate(self.delegators(role))
        )

    def check(self, now: datetime, *, since: bytes | None = None) -> TrustedSet:
        """What a device makes of all the published metadata that trusts the root `since` (the
        present one if absent).

        Raises:
            TrustError: it would refuse it.
        """
        newest = self.published["root"]
        trusted = TrustedSet.from_root(since or newest, now=now)
        if since not in (None, newest):
            trusted = trusted.with_root(newest)
        trusted = trusted.with_timestamp(self.published["timestamp"])
        trusted = trusted.with_snapshot(self.published["snapshot"])
        return self._taken_in(trusted, TOP)

    @property
    def root(self) -> Root:
        """The newest root, staged or published."""
        return root_of(self.newest("root"))

    def versions(self) -> dict[str, int]:
        """The published version of each role."""
        return {role: payload_of(content, role).version for role, content in self.published.items()}

    def target_names(self) -> tuple[str, ...]:
        """What the newest targets metadata of all roles promises, staged or published."""
        names = (name for role in self.speakers() for name in self.targets_role(role).targets)
        return tuple(sorted(names))

    def promised(self, name: str, *, staged: bool) -> TargetFile | None:
        """What is published under a target's name, or what is staged; None when nothing is."""
        contents = self.staged if staged else self.published
        for role in self.speakers():
            if role in contents and (file := targets_of(contents[role], role).targets.get(name)):
                return file
        return None

    def states(self, now: datetime) -> tuple[RoleState, ...]:
        """All roles, as they are published or will be first."""
        below = [role for role in self.speakers() if role != "targets"]
        order = ("root", "targets", *below, "snapshot", "timestamp")
        return joined_states(self._state(role, now) for role in order)

    def _state(self, role: str, now: datetime) -> RoleState:
        staged = payload_of(self.staged[role], role) if role in self.staged else None
        signed = payload_of(self.published[role], role) if role in self.published else staged
        assert signed is not None  # noqa: S101 - a role is published or staged
        held = self.held(role)
        return RoleState(
            role=self._label(role),
            version=signed.version if role in self.published else None,
            staged_version=staged.version if staged else None,
            expires_s=signed.expires.timestamp(),
            is_expiring=now + warning(role) >= signed.expires,
            threshold=held.threshold,
            key_ids=tuple(held.keyids),
            paths=tuple(held.paths or ()) if isinstance(held, DelegatedRole) else (),
            targets=len(signed.targets) if isinstance(signed, Targets) else 0,
            size_bytes=len(self.newest(role)),
        )

    def _taken_in(self, trusted: TrustedSet, path: RolePath) -> TrustedSet:
        """A targets role and all below it."""
        trusted = trusted.with_targets(self.published[path[-1]], path)
        for child in delegations.children(trusted.targets[path]):
            trusted = self._taken_in(trusted, (*path, child))
        return trusted

    def newest(self, role: str) -> bytes:
        return self.staged.get(role) or self.published[role]

    def targets_role(self, role: str) -> Targets:
        return targets_of(self.newest(role), role)

    def _paths(self) -> dict[str, str]:
        """All targets roles below the top-level one, as they are newest: who delegates to each."""
        found: dict[str, str] = {}
        waiting = ["targets"]
        while waiting:
            role = waiting.pop(0)
            opened_role = self.targets_role(role)
            below = delegations.children(opened_role)
            found |= dict.fromkeys(below, role)
            if not delegations.bins_label(opened_role):
                waiting += below
        return found

    def speakers(self) -> tuple[str, ...]:
        """All targets roles, the top-level one first."""
        return ("targets", *self._paths())

    def projects(self) -> tuple[str, ...]:
        found = self.targets_role("targets").delegations
        return tuple(found.roles or ()) if found else ()

    def bins(self, role: str) -> tuple[str, ...]:
        """A role's bins; none where it has none."""
        is_known = role in self.staged or role in self.published
        if not is_known or role in ("root", "snapshot", "timestamp"):
            return ()
        found = self.targets_role(role)
        return delegations.children(found) if delegations.bins_label(found) else ()

    def delegator(self, role: str) -> Root | Targets:
        """Who says now whose keys count for a role."""
        return self.root if role in ROLES else self.targets_role(self._paths()[role])

    def delegators(self, role: str) -> list[Root | Targets]:
        """Whose word counts for a staged role: for a root also the published one's."""
        found = [self.delegator(role)]
        if role == "root" and "root" in self.published:
            found.append(root_of(self.published["root"]))
        return found

    def held(self, role: str) -> Role:
        return self.delegator(role).get_delegated_role(role)

    def _label(self, role: str) -> str:
        """How people call it: all bins of a role have one name."""
        if role in ROLES or role in self.projects():
            return role
        return delegations.bins_label(self.targets_role(self._paths()[role]))

    def next_version(self, role: str) -> Payload:
        """What is staged already, to be changed further, or the published one a version up."""
        if role in self.staged:
            return payload_of(self.staged[role], role)
        if role not in self.published:
            return _kind(role)()
        signed = payload_of(self.published[role], role)
        signed.version += 1
        return signed

    def snapshot_meta(self) -> dict[str, MetaFile]:
        """What a snapshot names: all targets roles, and those that were once published, because
        devices refuse a snapshot that names fewer.
        """
        roles = {*self.speakers(), *(role for role in self.published if role not in ROLES)}
        versions = {role: payload_of(self.newest(role), role).version for role in sorted(roles)}
        return {f"{role}.json": MetaFile(version) for role, version in versions.items()}

    def require_role(self, role: str, known: Iterable[str]) -> None:
        if role not in (names := tuple(known)):
            raise InputError(
                f"no such role {role!r}", hint=f"there are {', '.join(names) or 'no projects'}"
            )


def _kind(role: str) -> type[Payload]:
    return KINDS.get(role, Targets)


def opened(content: bytes, role: str) -> Metadata[Any]:
    return parsed(content, cast("Any", _kind(role)), role)


def payload_of(content: bytes, role: str) -> Payload:
    return cast("Payload", opened(content, role).signed)


def root_of(content: bytes) -> Root:
    return parsed(content, Root, "root").signed


def targets_of(content: bytes, role: str) -> Targets:
    return parsed(content, Targets, role).signed


def as_targets(payload: Payload) -> Targets:
    assert isinstance(payload, Targets)  # noqa: S101 - the role says so
    return payload


def keys_of(delegator: Targets) -> Mapping[str, Key]:
    return delegator.delegations.keys if delegator.delegations else {}


def _lack(metadata: Metadata[Any], role: str, delegator: Root | Targets, *, label: str) -> Lack:
    have = signing_keys(metadata, role, delegator)
    wanted = delegator.get_delegated_role(role)
    return Lack(
        role=label,
        count=max(0, wanted.threshold - len(have)),
        key_ids=tuple(key_id for key_id in wanted.keyids if key_id not in have),
    )
