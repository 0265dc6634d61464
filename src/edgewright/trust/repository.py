"""The keeper's side: an image repository as a value, changed by steps that people sign.

What devices see is `published`. A change is first `staged`: new versions of the roles that it
touches, without signatures. Each key holder signs what is staged; when every staged role has its
threshold, all of it is published at once, after it was read as a device would read it. So no step
needs two people at one place, and nothing half signed is ever served.

A staged root needs the keys of the published root and its own. A role whose keys change is signed
anew; snapshot and timestamp follow whatever they name. Below the top-level targets, projects speak
for names of their own, and any role's names may be spread over hashed bins (`delegations`).

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
from datetime import datetime
from typing import Any

import msgspec

from edgewright.errors import InputError
from edgewright.trust import delegations
from edgewright.trust.keys import PublicKey, Signer, TrustedKeys
from edgewright.trust.repository_roles import (
    KINDS,
    ROLES,
    Payload,
    Roles,
    as_targets,
    keys_of,
    opened,
    payload_of,
)
from edgewright.trust.role_state import Lack, RoleState, lifetime
from edgewright.trust.signed import add_signature, tuf_key
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

__all__ = ["KINDS", "ROLES", "Lack", "Repository", "RoleState"]

Change = Callable[[Payload], None]


class Repository(Roles, frozen=True, kw_only=True):
    """Metadata files by role, and the steps that change them."""

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
        content = _expiring(root, "root", now).to_bytes()
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
        """Promise a file from the next version on, by the role that speaks for its name; `custom`
        is signed with it.

        Raises:
            TrustError: the name would leave a folder.
        """
        require_plain_name(name)
        said = {"custom": dict(custom)} if custom else {}
        file = TargetFile(length_bytes, {"sha256": sha256}, name, said)

        def promise(targets: Payload) -> None:
            as_targets(targets).targets[name] = file

        return self._with_staged({delegations.speaker_of(name, self.targets_role): promise}, now)

    def without_target(self, name: str, *, now: datetime) -> "Repository":
        """Promise a file no more: devices that know it return to it no more.

        Raises:
            InputError: it is not promised.
        """
        role = next((r for r in self.speakers() if name in self.targets_role(r).targets), None)
        if role is None:
            raise InputError(
                f"no target {name!r}", hint=f"there are {', '.join(self.target_names()) or 'none'}"
            )

        def drop(targets: Payload) -> None:
            del as_targets(targets).targets[name]

        return self._with_staged({role: drop}, now)

    def with_project(
        self, project: str, keys: TrustedKeys, *, paths: tuple[str, ...], now: datetime
    ) -> "Repository":
        """Let a project speak for paths, with keys of its own; what the top-level targets list
        there moves to it.

        Raises:
            InputError: the name is none or taken, as is a path; or the targets are split.
        """
        delegations.require_project_name(project, (*ROLES, *self.speakers()))
        for path in paths:
            require_plain_name(path)
        moved: dict[str, TargetFile] = {}

        def delegate(targets: Payload) -> None:
            delegations.add_project(as_targets(targets), project, keys, paths)
            moved.update(delegations.taken_out(as_targets(targets), project))

        def begin(targets: Payload) -> None:
            as_targets(targets).targets, as_targets(targets).delegations = dict(moved), None

        return self._with_staged({"targets": delegate, project: begin}, now)

    def without_project(self, project: str, *, now: datetime) -> "Repository":
        """Let a project speak no more; what it listed, the top-level targets list from then on.

        Raises:
            InputError: there is no such project.
        """
        self.require_role(project, self.projects())
        roles = (project, *delegations.children(self.targets_role(project)))
        files = {
            name: file for role in roles for name, file in self.targets_role(role).targets.items()
        }

        def take_back(targets: Payload) -> None:
            delegations.drop_project(as_targets(targets), project)
            as_targets(targets).targets.update(files)

        return self._with_staged({"targets": take_back}, now)

    def with_bins(self, role: str, count: int, *, now: datetime) -> "Repository":
        """Spread what a role lists over hashed bins, each a file of its own.

        Raises:
            InputError: no such role, it delegates already, or the number is none that works.
        """
        self.require_role(role, ("targets", *self.projects()))
        delegator = self.delegator(role)
        held = delegator.get_delegated_role(role)
        known = delegator.keys if isinstance(delegator, Root) else keys_of(delegator)
        keys = {key_id: known[key_id] for key_id in held.keyids}
        bins: dict[str, Targets] = {}

        def spread(targets: Payload) -> None:
            parts = delegations.split(
                as_targets(targets), role, keys, threshold=held.threshold, count=count
            )
            bins.update(parts)

        spread(
            self.targets_role(role)
        )  # for the bins' names, and to refuse before anything is staged

        def begin(name: str) -> Change:
            def change(targets: Payload) -> None:
                as_targets(targets).targets = bins[name].targets

            return change

        return self._with_staged({role: spread, **{name: begin(name) for name in bins}}, now)

    def with_keys(
        self,
        role: str,
        *,
        add: Iterable[PublicKey] = (),
        remove: Iterable[str] = (),
        threshold: int | None = None,
        now: datetime,
    ) -> "Repository":
        """Other keys for a role and its bins, or another threshold: by the next root, or for a
        project by the next targets.

        Raises:
            InputError: an unknown role or key, or fewer keys than the threshold would be left.
        """
        self.require_role(role, (*ROLES, *self.projects()))
        added, removed = tuple(map(tuf_key, add)), tuple(remove)

        def change_for(held: str) -> Change:
            def change(delegator: Payload) -> None:
                assert isinstance(delegator, Root | Targets)  # noqa: S101 - those delegate
                for key in added:
                    delegator.add_key(key, held)
                for key_id in removed:
                    found = _full_id(delegator.get_delegated_role(held).keyids, role, key_id)
                    delegator.revoke_key(found, held)
                named = delegator.get_delegated_role(held)
                named.threshold = threshold or named.threshold
                _require_reachable(named, role)

            return change

        bins = self.bins(role)
        changes: dict[str, Change | None] = {
            "root" if role in ROLES else "targets": change_for(role),
            role: change_for(bins[0]) if bins else None,
            **dict.fromkeys(bins),
        }
        if role == "root":
            changes = {"root": change_for("root")}
        return self._with_staged(changes, now)

    def without_key(self, key_id: str, *, now: datetime) -> "Repository":
        """Take a key away from every role that has it.

        Raises:
            InputError: nobody has it, or a role could not be signed any more.
        """
        roles = [
            role
            for role in (*ROLES, *self.projects())
            if any(map(_begins(key_id), self.held(role).keyids))
        ]
        if not roles:
            raise InputError(f"no role has key {key_id}", hint="trust status shows the keys")
        changed = self
        for role in roles:
            changed = changed.with_keys(role, remove=(key_id,), now=now)
        return changed

    def renewed(self, roles: Iterable[str], *, now: datetime, above: int = 0) -> "Repository":
        """New versions of roles, and of their bins, that say the same for another lifetime.

        `above` is the highest version of any role that a device may have seen, where this
        repository is older than that: theirs, and those of the roles that name them, are higher.

        Raises:
            InputError: no such role, or root with `above`: its versions follow each other.
        """
        roles = tuple(roles)
        if above and "root" in roles:
            raise InputError(
                "root cannot be lifted: devices take its versions one after the other",
                hint="bring the newest root.json back, from an export or a device's trust/image",
            )
        changes: dict[str, Change | None] = {}
        for role in roles:
            if role not in ROLES:
                self.require_role(role, (*ROLES, *self.projects()))
            changes |= dict.fromkeys((role, *self.bins(role)))
        return self._with_staged(changes, now, above=above)

    def signed_by(self, signer: Signer) -> "Repository":
        """Everything that is staged and for which this key counts, signed with it.

        Raises:
            InputError: the key counts for nothing that is staged.
        """
        key_id = signer.public.key_id
        signed: dict[str, bytes] = {}
        for role, content in self.staged.items():
            if any(key_id in d.get_delegated_role(role).keyids for d in self.delegators(role)):
                metadata = opened(content, role)
                add_signature(metadata, signer)
                signed[role] = metadata.to_bytes()
        if not signed:
            raise InputError(
                f"key {key_id[:12]} has nothing to sign here",
                hint="trust status shows what is staged, and whose signatures are missing",
            )
        return msgspec.structs.replace(self, staged={**self.staged, **signed})

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

    def _with_staged(
        self, changes: Mapping[str, Change | None], now: datetime, *, above: int = 0
    ) -> "Repository":
        """Stage the next version of roles, changed, and of all that name them."""
        changed = self
        for role in _with_followers(changes):
            signed = changed.next_version(role)
            signed.version = max(signed.version, above + 1) if role != "root" else signed.version
            if change := changes.get(role):
                change(signed)
            if isinstance(signed, Snapshot):
                signed.meta = changed.snapshot_meta()
            if isinstance(signed, Timestamp):
                version = payload_of(changed.newest("snapshot"), "snapshot").version
                signed.snapshot_meta = MetaFile(version)
            content = _expiring(signed, role, now).to_bytes()
            changed = msgspec.structs.replace(changed, staged={**changed.staged, role: content})
        known = ("root", *changed.speakers(), "snapshot", "timestamp")
        kept = {role: changed.staged[role] for role in known if role in changed.staged}
        return msgspec.structs.replace(changed, staged=kept)


def _expiring(signed: Payload, role: str, now: datetime) -> Metadata[Any]:
    """Without signatures, because its content is new."""
    signed.expires = now + lifetime(role)
    return Metadata(signed)


def _with_followers(roles: Iterable[str]) -> list[str]:
    """The roles and those that name them, in that order: a new root alone is named by nobody."""
    given = list(roles)
    first = [role for role in ("root", "targets") if role in given]
    below = [role for role in given if role not in ROLES]
    speaks = "targets" in given or bool(below)
    snapshot = ["snapshot"] if speaks or "snapshot" in given else []
    timestamp = ["timestamp"] if snapshot or "timestamp" in given else []
    return [*first, *below, *snapshot, *timestamp]


def _require_reachable(held: Role, role: str) -> None:
    keys, threshold = len(held.keyids), held.threshold
    if not 1 <= threshold <= keys:
        raise InputError(
            f"{role} would have {keys} key(s) and a threshold of {threshold}",
            hint=f"first give it another key: trust rotate REPO {role} --add KEY.pub",
        )


def _full_id(known: Iterable[str], role: str, key_id: str) -> str:
    matches = [found for found in known if _begins(key_id)(found)]
    if len(matches) != 1:
        raise InputError(
            f"{role} has {len(matches)} keys whose id begins with {key_id!r}, expected one",
            hint="trust status shows the keys",
        )
    return matches[0]


def _begins(key_id: str) -> Callable[[str], bool]:
    return lambda known: bool(key_id) and known.startswith(key_id)
