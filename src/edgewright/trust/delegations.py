"""Who speaks for which names below the top-level targets: projects, each by its own paths, and
hashed bins, among which a role's names are spread when they became many.

A role delegates to projects or to bins, never to both (TUF allows one kind a role). A project's
delegation is terminating: about a name in its paths nobody after it is asked. Bins are signed with
the keys of the role that they are part of, so splitting a role changes who may say nothing; a
device then reads one bin where it read the whole list.

    >>> delegations = Delegations({}, {})
    >>> speaker_of("har/1.ewb", {"targets": Targets()}.__getitem__)
    'targets'
"""

import re
from collections.abc import Callable, Iterable, Mapping

from edgewright.errors import InputError
from edgewright.trust.keys import TrustedKeys
from edgewright.trust.signed import tuf_key
from edgewright.trust.tuf_api import (
    DelegatedRole,
    Delegations,
    Key,
    SuccinctRoles,
    TargetFile,
    Targets,
)

Opened = Callable[[str], Targets]
"""The newest metadata of a targets role, by its name."""

BIN_COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)
_PROJECT = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_BIN_MARK = "-bin"


def require_project_name(name: str, taken: Iterable[str]) -> None:
    """Pass when a new project may be called so.

    Raises:
        InputError: it is no such name, or a role has it.
    """
    if not _PROJECT.fullmatch(name) or _BIN_MARK in name:
        raise InputError(
            f"project {name[:80]!r}: expected lower-case letters, digits, '.', '_' and '-', "
            f"without {_BIN_MARK!r}",
            hint="take the model's name, such as har",
        )
    if name in taken:
        raise InputError(f"there is a role {name} already", hint="trust status shows the roles")


def children(targets: Targets) -> tuple[str, ...]:
    """The roles that a role delegates to, in its order."""
    delegations = targets.delegations
    if delegations is None:
        return ()
    if delegations.succinct_roles:
        return tuple(delegations.succinct_roles.get_roles())
    return tuple(delegations.roles or ())


def speaker_of(name: str, opened: Opened) -> str:
    """The role that may say what a name is: the last to which it was delegated."""
    role = Targets.type
    while delegations := opened(role).delegations:
        found = next((child for child, _ in delegations.get_roles_for_target(name)), None)
        if found is None:
            break
        role = found
    return role


def bins_label(delegator: Targets) -> str:
    """How people call all bins of a role; empty where it has none."""
    succinct = delegator.delegations.succinct_roles if delegator.delegations else None
    return f"{succinct.name_prefix}-*" if succinct else ""


def add_project(targets: Targets, name: str, keys: TrustedKeys, paths: tuple[str, ...]) -> None:
    """Let a project speak for paths, in the top-level targets.

    Raises:
        InputError: it is split into bins, or another project has one of the paths.
    """
    delegations = targets.delegations or Delegations({}, {})
    if delegations.roles is None:
        raise InputError(
            "the top-level targets are split into bins, which leaves no room for projects",
            hint="begin a repository whose projects come first, and split those",
        )
    for other in delegations.roles.values():
        if both := set(other.paths or ()) & set(paths):
            raise InputError(
                f"project {other.name} speaks for {', '.join(sorted(both))} already",
                hint="give this one other paths: --path",
            )
    delegations.roles[name] = DelegatedRole(name, [], keys.threshold, True, list(paths))
    targets.delegations = delegations
    for key in keys.keys:
        targets.add_key(tuf_key(key), name)


def drop_project(targets: Targets, name: str) -> None:
    """Let a project speak for nothing any more; a key that only it had is forgotten."""
    delegations = targets.delegations
    assert delegations is not None and delegations.roles is not None  # noqa: S101, PT018 - it has it
    for key_id in tuple(delegations.roles[name].keyids):
        targets.revoke_key(key_id, name)
    del delegations.roles[name]


def split(
    targets: Targets, role: str, keys: Mapping[str, Key], *, threshold: int, count: int
) -> dict[str, Targets]:
    """Spread a role's names over bins with these keys, its own; the bins by name.

    Raises:
        InputError: it delegates already, or the number of bins is no power of two up to 256.
    """
    if targets.delegations and children(targets):
        raise InputError(
            f"{role} delegates already", hint="split a project: trust split REPO PROJECT"
        )
    if count not in BIN_COUNTS:
        raise InputError(
            f"{count} bins: expected one of {', '.join(map(str, BIN_COUNTS))}",
            hint="16 is right for some thousands of files",
        )
    bits = count.bit_length() - 1
    succinct = SuccinctRoles(list(keys), threshold, bits, f"{role}{_BIN_MARK}")
    targets.delegations = Delegations(dict(keys), succinct_roles=succinct)
    bins = {name: Targets() for name in succinct.get_roles()}
    for name, file in targets.targets.items():
        bins[succinct.get_role_for_target(name)].targets[name] = file
    targets.targets = {}
    return bins


def taken_out(targets: Targets, project: str) -> dict[str, TargetFile]:
    """The files in a project's paths that its delegator lists itself, which lists them no more."""
    delegation = targets.get_delegated_role(project)
    assert isinstance(delegation, DelegatedRole)  # noqa: S101 - a project is one
    names = [name for name in targets.targets if delegation.is_delegated_path(name)]
    return {name: targets.targets.pop(name) for name in names}
