"""Who may use a route: the permission it names, held by the role of the token's user."""

import hmac
from collections import deque
from typing import Any, cast

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.handlers import BaseRouteHandler

from edgewright.fleet.office import Office
from edgewright.fleet.roles import Permission
from edgewright.fleet.secret import SESSION_PREFIX
from edgewright.fleet.users import csrf_of

NOBODY_YET = "login"
"""The one route that who has neither token nor session may use: the one to get a session."""
OPEN: Permission = "read"
"""What everybody may do who reaches a loopback listener."""

SESSION_COOKIE = "edgewright_session"

_ADDRESSES = 10_000
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "[::1]"})


class House(msgspec.Struct, frozen=True, kw_only=True):
    """Under which names people come, and whether only this machine's can."""

    names: tuple[str, ...] = ()
    is_local: bool = True


def check_access(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass or refuse it. A route that names no permission is open to nobody.

    Raises:
        NotAuthorizedException: there is no token.
        PermissionDeniedException: the request names a host that is not this machine.
        TrustError: the token does not hold the permission.
    """
    house: House = connection.app.state.house
    _check_host(connection.headers.get("host", ""), house)
    permission: str = handler.opt.get("permission", "")
    if not permission:
        raise PermissionDeniedException("nobody may ask this")
    if permission == NOBODY_YET or (permission == OPEN and house.is_local):
        return
    token = _token(connection)
    if not token:
        raise NotAuthorizedException(
            f"this needs the token of a user who may {permission!r}; "
            "make one: edgewright user token NAME",
            headers={"www-authenticate": "Bearer"},
        )
    office: Office = connection.app.state.office
    if token.startswith(SESSION_PREFIX) and office.users.who(token) is None:
        raise NotAuthorizedException("this session has ended; log in again")
    connection.scope["user"] = office.users.allowed(token, cast("Permission", permission))


def _token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
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
        if not hmac.compare_digest(told, csrf_of(session)):
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
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    known = _THIS_MACHINE | {name.lower() for name in house.names}
    if name.lower() not in known:
        raise PermissionDeniedException(f"this fleet does not answer to the name {name[:80]!r}")
