"""Answers to browsers: a page, and the way to another one, with the headers that pages carry."""

from litestar import MediaType, Response
from litestar.datastructures import Cookie

_SEE_OTHER = 303
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def page(content: str, *, status: int = 200) -> Response[str]:
    """A page."""
    return Response(content, media_type=MediaType.HTML, headers=PAGE_HEADERS, status_code=status)


def moved(path: str, cookies: list[Cookie] | None = None) -> Response[str]:
    """To another page."""
    headers = PAGE_HEADERS | {"location": path}
    return Response("", status_code=_SEE_OTHER, headers=headers, cookies=cookies)
