"""Who may use a route: the permission it names, held by the role of the token's user."""

from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from edgewright.fleet.office import Office
from edgewright.fleet.roles import Permission

OPEN: Permission = "read"
"""What everybody may do who reaches a loopback listener."""

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
    permission: Permission = handler.opt["permission"]
    if permission == OPEN and house.is_local:
        return
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthorizedException(
            f"this needs the token of a user who may {permission!r}; "
            "make one: edgewright user token NAME",
            headers={"www-authenticate": "Bearer"},
        )
    office: Office = connection.app.state.office
    connection.scope["user"] = office.users.allowed(token, permission)


def _check_host(host: str, house: House) -> None:
    """A page of another site that makes its name mean this machine (DNS rebinding) is refused."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    known = _THIS_MACHINE | {name.lower() for name in house.names}
    if name.lower() not in known:
        raise PermissionDeniedException(f"this fleet does not answer to the name {name[:80]!r}")
