"""People of a fleet, as values: who somebody is, what that opens, and what proves it."""

from typing import Protocol

import msgspec

from edgewright.fleet.roles import Role

BACK = "/login/oidc/back"
"""Where a provider sends the browser back to."""
LOGIN_LASTS_S = 600.0
"""How long a login at a provider may take."""


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
    """A token as it is shown, once. Without scopes it opens all that the user's role does."""

    user: str
    token: str
    expires_at_s: float
    scopes: tuple[str, ...] = ()


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A login. `csrf` goes into a header of every command that a browser sends with its cookie."""

    user: str
    projects: tuple[Membership, ...]
    session: str
    csrf: str
    expires_at_s: float


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A login at a provider: where the browser goes, and what it keeps meanwhile."""

    url: str
    state: str


class ProviderLogin(Protocol):
    """Logins at an identity provider (`edgewright.fleet.oidc`, which needs the extra `oidc`)."""

    def begin(self) -> Begun:
        """A login that the browser is sent to the provider with.

        Raises:
            TransportError: the provider does not answer, or not as one.
        """

    def finish(self, *, state: str, code: str) -> Session:
        """The session of whom the provider vouches for.

        Raises:
            TrustError: the login was not begun here, or what the provider sent does not hold.
            TransportError: the provider does not answer.
        """
