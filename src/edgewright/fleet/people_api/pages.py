"""The page for browsers and its style sheet."""

from litestar import MediaType, Response, get
from litestar.datastructures import State

from edgewright.fleet.ui import render_fleet, style_sheet

_READ = {"permission": "read"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@get("/", opt=_READ, sync_to_thread=True, include_in_schema=False)
def fleet_page(state: State) -> Response[str]:
    """Releases, rollouts, devices and alerts on one page."""
    return Response(render_fleet(state.office), media_type=MediaType.HTML, headers=_HEADERS)


@get("/style.css", opt=_READ, sync_to_thread=False, include_in_schema=False)
def style() -> Response[bytes]:
    """The page's style sheet."""
    return Response(style_sheet(), media_type="text/css; charset=utf-8", headers=_HEADERS)


PAGES = (fleet_page, style)
