"""The application: its routes and what errors look like."""

import asyncio
from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.exceptions import NotAuthorizedException
from litestar.openapi import OpenAPIConfig
from litestar.types import Message, Scope

from edgewright import __version__
from edgewright.errors import (
    AbsentError,
    ConflictError,
    EdgewrightError,
    GateError,
    InputError,
    ResourceError,
    TransportError,
    TrustError,
    UnavailableError,
)
from edgewright.fleet.office import Office
from edgewright.fleet.people_api.access import House, LoginLimit, check_access, the_office
from edgewright.fleet.people_api.commands import COMMANDS
from edgewright.fleet.people_api.description import DescriptionPlugin
from edgewright.fleet.people_api.login import LOGIN
from edgewright.fleet.people_api.members import MEMBERS, projects
from edgewright.fleet.people_api.notifiers import NOTIFIERS
from edgewright.fleet.people_api.oidc import OIDC
from edgewright.fleet.people_api.pages import PAGES, to_login, to_own_project
from edgewright.fleet.people_api.publishing import PUBLISHING
from edgewright.fleet.people_api.reading import READING
from edgewright.fleet.refusals import Refusal
from edgewright.wire.device_api import Problem

BODY_LIMIT_BYTES = 1 << 20

_SECURE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=31536000",
}
_STATUS: dict[type[EdgewrightError], int] = {
    AbsentError: 404,
    ConflictError: 409,
    InputError: 400,
    TrustError: 403,
    GateError: 409,
    ResourceError: 503,
    TransportError: 503,
    UnavailableError: 501,
}


def build_app(office: Office, *, house: House | None = None) -> Litestar:
    """The people's API and page over a fleet's services, on loopback unless told otherwise."""
    provided = {"office": Provide(the_office, sync_to_thread=False)}
    of_a_project = [*READING, *COMMANDS, *PUBLISHING, *MEMBERS, *NOTIFIERS]
    api = Router(
        "/api/v1",
        route_handlers=[*of_a_project, *LOGIN, projects],
        guards=[check_access],
        dependencies=provided,
    )
    of_projects = Router(
        "/api/v1/projects/{project:str}",
        route_handlers=of_a_project,
        guards=[check_access],
        dependencies=provided,
    )
    pages = Router(
        "/",
        route_handlers=[*PAGES, *OIDC],
        guards=[check_access],
        dependencies=provided,
        exception_handlers={NotAuthorizedException: to_login, AbsentError: to_own_project},
    )
    return Litestar(
        route_handlers=[api, of_projects, pages, live],
        state=State({"office": office, "house": house or House(), "login_limit": LoginLimit()}),
        before_send=[_secured, _audited],
        exception_handlers={EdgewrightError: _refuse, RecursionError: _refuse_depth},
        logging_config=None,
        request_max_body_size=BODY_LIMIT_BYTES,
        openapi_config=OpenAPIConfig(
            title="edgewright fleet",
            version=__version__,
            path="/api/v1/schema",
            render_plugins=[DescriptionPlugin()],
        ),
    )


@get("/livez", include_in_schema=False)
async def live() -> str:
    """That the process works at all, whatever its database does. For anybody, by any name."""
    return "live"


async def _secured(message: Message, _: Scope) -> None:
    """Headers that every answer carries, also a refusal, unless its route says more."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    for name, value in _SECURE.items():
        if name not in headers:
            headers[name] = value


async def _audited(message: Message, scope: Scope) -> None:
    """A refusal is in the audit log before it is answered."""
    if message["type"] != "http.response.start" or not 400 <= message["status"] < 500:
        return
    office: Office = scope["litestar_app"].state.office
    client, user = scope.get("client"), scope.get("user")
    refusal = Refusal(
        door="people",
        who=getattr(user, "name", "") or (client[0] if client else ""),
        request=f"{dict(scope).get('method')} {scope['path']}",
        status=message["status"],
    )
    if not office.refusals.counts_only(refusal):
        await asyncio.to_thread(office.refusals.note, refusal)


def _refuse_depth(_: Request[Any, Any, Any], __: RecursionError) -> Response[Problem]:
    """JSON that is nested beyond any sense; nothing else here recurses by what is sent."""
    return Response(Problem(error="the JSON is nested too deeply"), status_code=400)


def _refuse(_: Request[Any, Any, Any], error: EdgewrightError) -> Response[Problem]:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    return Response(Problem(error=error.message, hint=error.hint), status_code=status)
