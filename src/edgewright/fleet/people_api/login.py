"""Logging in and out: a session as a cookie that scripts cannot read, for browsers."""

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import Cookie, State
from litestar.params import JSONBody

from edgewright.fleet.people import Membership, Session
from edgewright.fleet.people_api.access import (
    NOBODY_YET,
    SESSION_COOKIE,
    SOMEBODY,
    LoginLimit,
    is_this_machines,
)
from edgewright.fleet.users import SESSION_LIFETIME_S


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who, and the proof."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.name!r})"


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in now. `csrf` goes into the header `x-csrf-token` of every command."""

    user: str
    projects: tuple[Membership, ...]
    csrf: str
    expires_at_s: float


@post("/login", opt={"permission": NOBODY_YET}, sync_to_thread=True, status_code=200)
def login(
    state: State, request: Request[Any, Any, Any], data: JSONBody[Login]
) -> Response[LoggedIn]:
    """Begin a session; its cookie opens what the user's role allows."""
    made = begun_session(state, request, data.name, data.password)
    reply = LoggedIn(
        user=made.user, projects=made.projects, csrf=made.csrf, expires_at_s=made.expires_at_s
    )
    return Response(reply, cookies=[session_cookie(made, request)])


def begun_session(
    state: State, request: Request[Any, Any, Any], name: str, password: str
) -> Session:
    """A session, if name and password belong together and this address did not try too often.

    Raises:
        TooManyRequestsException: it did.
        TrustError: they do not.
    """
    limit: LoginLimit = state.login_limit
    address = request.client.host if request.client else ""
    limit.check(address, now_s=state.office.clock.monotonic_s())
    made: Session = state.office.users.login(name, password)
    return made


def session_cookie(made: Session, request: Request[Any, Any, Any]) -> Cookie:
    """What the browser keeps: scripts cannot read it, other sites cannot send it."""
    return Cookie(
        key=SESSION_COOKIE,
        value=made.session,
        httponly=True,
        secure=not is_this_machines(request),
        samesite="strict",
        max_age=int(SESSION_LIFETIME_S),
    )


@post("/logout", opt={"permission": SOMEBODY}, sync_to_thread=True, status_code=200)
def logout(state: State, request: Request[Any, Any, Any]) -> Response[dict[str, bool]]:
    """End the session of the cookie."""
    state.office.users.logout(request.cookies.get(SESSION_COOKIE, ""))
    gone = Response({"ok": True})
    gone.delete_cookie(SESSION_COOKIE)
    return gone


LOGIN = (login, logout)
