"""Who may use a route: the permission it names, held by the role that the token's user has in the
project that the path names. Where it names none, `default` is meant.
"""

from collections import deque
from typing import Any, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from edgewright.fleet.looking import looked
from edgewright.fleet.office import Office
from edgewright.fleet.people import User
from edgewright.fleet.projects import DEFAULT_PROJECT
from edgewright.fleet.roles import Permission
from edgewright.fleet.secret import SESSION_PREFIX
from edgewright.fleet.users import is_csrf_of

NOBODY_YET = "login"
"""The one route that who has neither token nor session may use: the one to get a session."""
SOMEBODY = "known"
"""The routes about oneself: any token or session that is alive opens them."""
OPEN: Permission = "read"
"""What everybody may do, in the project `default`, who reaches a loopback listener."""

TheOffice = NamedDependency[SkipValidation[Office]]
"""The services of the project that the path names, as a route takes them."""

SESSION_COOKIE = "edgewright_session"

_ADDRESSES = 10_000
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FORWARDING = frozenset({"forwarded", "via", "x-real-ip"})
_FORWARDING_PREFIX = "x-forwarded-"


class House(msgspec.Struct, frozen=True, kw_only=True):
    """Under which names people come, and whether the listener is on loopback without TLS."""

    names: tuple[str, ...] = ()
    is_local: bool = True

    @property
    def is_unnamed(self) -> bool:
        """Whether it has no name that another machine could use; with one, a proxy on this machine
        may bring people from anywhere.
        """
        return _THIS_MACHINE.issuperset(_written(name) for name in self.names)


async def check_access(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Let a request pass or refuse it. A route that names no permission is open to nobody.

    Raises:
        NotAuthorizedException: there is no token.
        PermissionDeniedException: the request names a host that is not this machine.
        TrustError: the token does not hold the permission.
        AbsentError: the project is not there, or not for this user.
    """
    house: House = connection.app.state.house
    _check_host(connection.headers.get("host", ""), house)
    permission: str = handler.opt.get("permission", "")
    if not permission:
        raise PermissionDeniedException("nobody may ask this")
    project = project_of(connection)
    is_open = permission == OPEN and project == DEFAULT_PROJECT and is_this_machines(connection)
    if permission == NOBODY_YET or is_open:
        return
    token = token_of(connection)
    if not token:
        raise NotAuthorizedException(
            f"this needs the token of a user who may {permission!r}; "
            "make one: edgewright user token NAME",
            headers={"www-authenticate": "Bearer"},
        )
    office: Office = connection.app.state.office
    user = await looked(office.state, lambda: _opened(office, token, permission, project))
    if user is not None:
        connection.scope["user"] = user


def is_this_machines(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether only somebody on this machine can have sent a request: the listener is on loopback
    and nothing hints at a proxy in front of it, which others reach.
    """
    house: House = connection.app.state.house
    return (
        house.is_local
        and house.is_unnamed
        and _host_name(connection.headers.get("host", "")) in _THIS_MACHINE
        and not any(
            name in _FORWARDING or name.startswith(_FORWARDING_PREFIX)
            for name in map(str.lower, connection.headers)
        )
    )


def _opened(office: Office, token: str, permission: str, project: str) -> User | None:
    """Who has a token that opens a route; None where it is enough that somebody has."""
    if token.startswith(SESSION_PREFIX) and not office.users.is_living(token):
        raise NotAuthorizedException("this session has ended; log in again")
    if permission == SOMEBODY:
        office.users.projects_of(token)
        return None
    return office.within(project).users.allowed(token, cast("Permission", permission))


def project_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The project that a request is about."""
    return str(connection.path_params.get("project", DEFAULT_PROJECT))


def the_office(state: State, request: Request[Any, Any, Any]) -> Office:
    """The services of the project that a request is about, for a route that was let pass."""
    office: Office = state.office
    return office.within(project_of(request))


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """A program's token, or a browser's session. Who changes something by a cookie must also know
    what was told at login: another site's page can send the cookie but not that.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token
    session = connection.cookies.get(SESSION_COOKIE, "")
    is_reading = dict(connection.scope).get("method") in ("GET", "HEAD")
    if session and not is_reading:
        told = connection.headers.get("x-csrf-token", "")
        if not is_csrf_of(session, told):
            raise PermissionDeniedException("the header x-csrf-token is absent or wrong")
    return session


class LoginLimit:
    """How often one address may try to log in."""

    def __init__(self, *, tries: int = 20, span_s: float = 60.0) -> None:
        self._tries = tries
        self._span_s = span_s
        self._seen: dict[str, deque[float]] = {}

    def check(self, address: str, *, now_s: float) -> None:
        """Count a try.

        Raises:
            TooManyRequestsException: there were too many lately.
        """
        if len(self._seen) > _ADDRESSES:
            self._seen.clear()
        seen = self._seen.setdefault(address, deque())
        while seen and seen[0] <= now_s - self._span_s:
            seen.popleft()
        if len(seen) >= self._tries:
            raise TooManyRequestsException(
                "too many logins from this address; try again later",
                headers={"retry-after": f"{self._span_s:.0f}"},
            )
        seen.append(now_s)


def _check_host(host: str, house: House) -> None:
    """A page of another site that makes its name mean this machine (DNS rebinding) is refused."""
    name = _host_name(host)
    if name not in _THIS_MACHINE and name not in map(_written, house.names):
        raise PermissionDeniedException(f"this fleet does not answer to the name {name[:80]!r}")


def _host_name(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if port.isdecimal() else host).lower()


def _written(name: str) -> str:
    """A name as it stands in the header Host."""
    return f"[{name}]".lower() if ":" in name and not name.startswith("[") else name.lower()
