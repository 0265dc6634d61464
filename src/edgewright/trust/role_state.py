"""What is known of a repository's roles, for people: versions, expiry, keys, missing signatures."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

LIFETIME_DAYS: Mapping[str, int] = {"root": 365, "targets": 90, "snapshot": 30, "timestamp": 7}
"""Of the top-level roles; projects and bins live as long as targets."""
WARNING_SHARE = 0.25


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Signatures that a staged role still needs: `count` of these keys."""

    role: str
    count: int
    key_ids: tuple[str, ...]


class RoleState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one role, for people; `version` is the published one. The bins of a role are
    one state, named with a star. `paths` are a project's.
    """

    role: str
    version: int | None
    staged_version: int | None
    expires_s: float
    is_expiring: bool
    threshold: int
    key_ids: tuple[str, ...]
    paths: tuple[str, ...] = ()
    targets: int = 0
    size_bytes: int = 0


def lifetime(role: str) -> timedelta:
    """How long a new version of a role holds."""
    return timedelta(days=LIFETIME_DAYS.get(role, LIFETIME_DAYS["targets"]))


def warning(role: str) -> timedelta:
    """How long before its end a role is warned of."""
    return lifetime(role) * WARNING_SHARE


def joined_lacks(lacks: Iterable[tuple[Lack, int]]) -> tuple[Lack, ...]:
    """One lack for all bins of a role; the number tells two delegators of one role apart."""
    joined: dict[tuple[str, int], Lack] = {}
    for lack, delegator in lacks:
        known = joined.get((lack.role, delegator))
        if known is None or known.count < lack.count:
            joined[lack.role, delegator] = lack
    return tuple(lack for lack in joined.values() if lack.count)


def joined_states(states: Iterable[RoleState]) -> tuple[RoleState, ...]:
    """One state for all bins of a role: the newest version, the earliest end."""
    joined: dict[str, RoleState] = {}
    for state in states:
        known = joined.get(state.role)
        joined[state.role] = _joined(known, state) if known else state
    return tuple(joined.values())


def _joined(one: RoleState, other: RoleState) -> RoleState:
    return msgspec.structs.replace(
        one,
        version=_newer(one.version, other.version),
        staged_version=_newer(one.staged_version, other.staged_version),
        expires_s=min(one.expires_s, other.expires_s),
        is_expiring=one.is_expiring or other.is_expiring,
        targets=one.targets + other.targets,
        size_bytes=max(one.size_bytes, other.size_bytes),
    )


def _newer(one: int | None, other: int | None) -> int | None:
    numbers = [number for number in (one, other) if number is not None]
    return max(numbers, default=None)
