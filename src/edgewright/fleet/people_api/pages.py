"""The pages for browsers: the fleet, logging in and out, and their style sheet. No script runs."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.params import Body

from edgewright.errors import AbsentError, TrustError
from edgewright.fleet.office import Office
from edgewright.fleet.people_api.access import NOBODY_YET, SESSION_COOKIE, TheOffice
from edgewright.fleet.people_api.answers import PAGE_HEADERS, moved, page
from edgewright.fleet.people_api.login import begun_session, session_cookie
from edgewright.fleet.ui import Person, render_fleet, render_login, style_sheet
from edgewright.fleet.users import csrf_of, is_csrf_of
from edgewright.wire.device_api import Problem

_READ = {"permission": "read"}
_NOBODY_YET = {"permission": NOBODY_YET}
_Asked = Request[Any, Any, Any]


class LoginForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the form sends."""

    name: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"LoginForm({self.name!r})"


class LogoutForm(msgspec.Struct, frozen=True, kw_only=True):
    """The word beside the cookie: another site's form cannot know it."""

    csrf: str = ""


@get("/", opt=_READ, sync_to_thread=True, include_in_schema=False)
def fleet_page(office: TheOffice, request: _Asked) -> Response[str]:
    """Releases, rollouts, devices and alerts of the project `default` on one page."""
    return _seen(office, request)


@get("/projects/{project:str}", opt=_READ, sync_to_thread=True, include_in_schema=False)
def project_page(office: TheOffice, request: _Asked) -> Response[str]:
    """The same of another project."""
    return _seen(office, request)


def _seen(office: Office, request: _Asked) -> Response[str]:
    session = request.cookies.get(SESSION_COOKIE, "")
    if not session or not office.users.is_living(session):
        return page(render_fleet(office))
    opened = tuple(one.project for one in office.users.projects_of(session))
    user = office.users.who(session)
    if user is None:
        return moved(f"/projects/{opened[0]}") if opened else page(render_fleet(office))
    person = Person(name=user.name, role=user.role, csrf=csrf_of(session), projects=opened)
    return page(render_fleet(office, person))


@get("/login", opt=_NOBODY_YET, sync_to_thread=True, include_in_schema=False)
def login_page(state: State) -> Response[str]:
    """The form."""
    return page(render_login(has_provider=state.office.oidc is not None))


@post("/login", opt=_NOBODY_YET, sync_to_thread=True, include_in_schema=False)
def log_in(
    state: State,
    request: _Asked,
    data: Annotated[LoginForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Begin a session and show the fleet; the form again when name and password do not fit."""
    _require_own_form(request)
    try:
        made = begun_session(state, request, data.name, data.password)
    except TrustError as error:
        return page(
            render_login(problem=error.message, has_provider=state.office.oidc is not None),
            status=403,
        )
    return moved("/", [session_cookie(made, request)])


@post("/logout", opt=_NOBODY_YET, sync_to_thread=True, include_in_schema=False)
def log_out(
    state: State,
    request: _Asked,
    data: Annotated[LogoutForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """End the session of the cookie."""
    session = request.cookies.get(SESSION_COOKIE, "")
    if not session or not is_csrf_of(session, data.csrf):
        raise PermissionDeniedException("this form is not of this session")
    state.office.users.logout(session)
    gone = moved("/login")
    gone.delete_cookie(SESSION_COOKIE)
    return gone


@get("/style.css", opt=_NOBODY_YET, sync_to_thread=False, include_in_schema=False)
def style() -> Response[bytes]:
    """The pages' style sheet; the form needs it before anybody is known."""
    return Response(style_sheet(), media_type="text/css; charset=utf-8", headers=PAGE_HEADERS)


def to_login(request: _Asked, error: Exception) -> Response[Any]:
    """A browser that may not see the fleet is led to the form; a program is refused."""
    is_browser = "text/html" in request.headers.get("accept", "") and request.method == "GET"
    if is_browser and "authorization" not in request.headers:
        return moved("/login")
    if isinstance(error, NotAuthorizedException):
        body = {"status_code": error.status_code, "detail": error.detail}
        return Response(body, status_code=error.status_code, headers=error.headers)
    raise error


def to_own_project(request: _Asked, error: AbsentError) -> Response[Any]:
    """Who has just logged in and is no member of `default` is led to the first project that is
    theirs.
    """
    session = request.cookies.get(SESSION_COOKIE, "")
    if session and request.url.path == "/" and request.method == "GET":
        opened = request.app.state.office.users.projects_of(session)
        if opened:
            return moved(f"/projects/{opened[0].project}")
    return Response(Problem(error=error.message, hint=error.hint), status_code=404)


def _require_own_form(request: _Asked) -> None:
    """A form of another site would log its visitor in as somebody else."""
    origin = request.headers.get("origin", "")
    if origin and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise PermissionDeniedException("this form is of another site")


PAGES = (fleet_page, project_page, login_page, log_in, log_out, style)
