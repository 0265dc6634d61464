"""People of a fleet, as values: who somebody is, what that opens, and what proves it."""

import msgspec

from edgewright.fleet.roles import Role


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may do what the role says, in that project."""

    name: str
    role: Role
    project: str
    created_at_s: float


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A project that somebody is let into, and as what."""

    project: str
    role: Role


class UserToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is shown, once."""

    user: str
    token: str
    expires_at_s: float


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A login. `csrf` goes into a header of every command that a browser sends with its cookie."""

    user: str
    projects: tuple[Membership, ...]
    session: str
    csrf: str
    expires_at_s: float
