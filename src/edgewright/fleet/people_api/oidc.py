"""Logging in at the fleet's identity provider: there and back, without a script."""

import hmac
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import Cookie, State
from litestar.exceptions import NotFoundException

from edgewright.errors import TransportError, TrustError
from edgewright.fleet.people import BACK, LOGIN_LASTS_S, ProviderLogin
from edgewright.fleet.people_api.access import NOBODY_YET, LoginLimit, is_this_machines
from edgewright.fleet.people_api.answers import moved, page
from edgewright.fleet.people_api.login import session_cookie
from edgewright.fleet.ui import render_login, render_welcome

STATE_COOKIE = "edgewright_login"

_NOBODY_YET = {"permission": NOBODY_YET}
_Asked = Request[Any, Any, Any]


@get("/login/oidc", opt=_NOBODY_YET, sync_to_thread=True, include_in_schema=False)
def to_provider(state: State, request: _Asked) -> Response[str]:
    """Begin a login: the browser goes to the provider."""
    oidc = _oidc(state)
    limit: LoginLimit = state.login_limit
    address = request.client.host if request.client else ""
    limit.check(address, now_s=state.office.clock.monotonic_s())
    try:
        begun = oidc.begin()
    except (TransportError, TrustError) as error:
        return _refused(error.message, 503)
    return moved(begun.url, [_state_cookie(begun.state, request)])


@get(BACK, opt=_NOBODY_YET, sync_to_thread=True, include_in_schema=False)
def from_provider(state: State, request: _Asked) -> Response[str]:
    """The browser is back: a session, if this is the browser that left and the provider vouches.

    The answer is a page that leads on by itself: a redirect would still count as one from the
    provider's site, and the session's cookie would not be sent.
    """
    oidc = _oidc(state)
    given, kept = request.query_params.get("state", ""), request.cookies.get(STATE_COOKIE, "")
    code = request.query_params.get("code", "")
    if not given or not code or not hmac.compare_digest(given.encode(), kept.encode()):
        return page(
            render_login(problem="the login was not finished", has_provider=True), status=403
        )
    try:
        made = oidc.finish(state=given, code=code)
    except TrustError as error:
        return _refused(error.message, 403)
    except TransportError as error:
        return _refused(error.message, 503)
    answer = page(render_welcome(made.user))
    answer.set_cookie(session_cookie(made, request))
    answer.delete_cookie(STATE_COOKIE, path="/login/oidc")
    return answer


def _refused(problem: str, status: int) -> Response[str]:
    return page(render_login(problem=problem, has_provider=True), status=status)


def _oidc(state: State) -> ProviderLogin:
    found: ProviderLogin | None = state.office.oidc
    if found is None:
        raise NotFoundException("this fleet has no identity provider")
    return found


def _state_cookie(value: str, request: _Asked) -> Cookie:
    """Sent back when the provider's page leads here, which another site's page cannot forge."""
    return Cookie(
        key=STATE_COOKIE,
        value=value,
        path="/login/oidc",
        httponly=True,
        secure=not is_this_machines(request),
        samesite="lax",
        max_age=int(LOGIN_LASTS_S),
    )


OIDC = (to_provider, from_provider)
