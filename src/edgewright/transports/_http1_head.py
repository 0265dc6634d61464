"""Bytes of a request's head to a `Head`, by llhttp at its strictest; pure."""

from typing import Any
from urllib.parse import parse_qsl, unquote

import httptools

from edgewright.transports.base import Head

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_VERSIONS = frozenset({"1.0", "1.1"})
_QUERY_FIELDS = 64
_LENGTH_DIGITS = 18


class BadRequestError(Exception):
    """A request that gets an error answer of the transport itself, after which the peer is cut
    off.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Collector:
    """Callbacks of one message. Trailers, which arrive after the headers, are dropped."""

    def __init__(self) -> None:
        self.url = b""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.messages = 0
        self.has_head = False
        self.is_complete = False

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk

    def on_message_complete(self) -> None:
        self.is_complete = True


def parse_head(raw: bytes) -> tuple[Head, Collector, Any]:
    """The head that `raw` is, up to and with its empty line, and the parser that goes on with a
    chunked body.

    Raises:
        BadRequestError: it is not exactly one head, or one that could be understood in two ways.
    """
    collector = Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # an offer to speak something else, which may be ignored (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise BadRequestError(400, f"not a valid HTTP request: {error}") from error
    if not collector.has_head or collector.messages != 1:
        raise BadRequestError(400, "not a valid HTTP request: incomplete head")
    head = _head(parser, collector)
    has_body = head.is_chunked or head.content_length > 0
    if collector.is_complete == has_body and not parser.should_upgrade():
        raise BadRequestError(400, "not a valid HTTP request: unclear body length")
    return head, collector, parser


def _head(parser: Any, collector: Collector) -> Head:
    method = parser.get_method().decode("ascii")
    version = parser.get_http_version()
    if method not in _METHODS:
        raise BadRequestError(501, f"method {method} is not supported")
    if version not in _VERSIONS:
        raise BadRequestError(505, f"HTTP version {version} is not supported; use 1.1")
    headers = _headers(collector.raw_headers)
    if version == "1.1" and "host" not in headers:
        raise BadRequestError(400, "the Host header is missing")
    path, query = _target(collector.url)
    return Head(
        method=method,
        version=version,
        target=collector.url.decode("ascii"),
        path=path,
        query=query,
        headers=headers,
        content_length=int(headers.get("content-length", "0")),
        is_chunked=_is_chunked(headers, version, parser.should_upgrade()),
        keeps_alive=_keeps_alive(headers, version),
        expects_continue=_expects_continue(headers, version),
    )


def head_of_fields(raw: list[tuple[bytes, bytes]]) -> Head:
    """The head of an HTTP/2 request from its fields, held to the same rules.

    Raises:
        BadRequestError: one that this server does not take, or that could be understood in two
            ways.

    >>> fields = [(b":method", b"GET"), (b":path", b"/v2?a=1"), (b":authority", b"h")]
    >>> head = head_of_fields(fields)
    >>> head.path, head.query, head.headers
    ('/v2', {'a': '1'}, {'host': 'h'})
    """
    pseudo = {name: value for name, value in raw if name.startswith(b":")}
    method = pseudo.get(b":method", b"").decode("latin-1")
    if method not in _METHODS:
        raise BadRequestError(501, f"method {method[:20]} is not supported")
    headers = _headers([pair for pair in raw if not pair[0].startswith(b":")])
    authority = pseudo.get(b":authority", b"").decode("latin-1")
    if headers.setdefault("host", authority) != authority and authority:
        raise BadRequestError(400, "the Host header differs from the authority")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > _LENGTH_DIGITS:
        raise BadRequestError(400, f"content-length is {length[:20]!r}")
    target = pseudo.get(b":path", b"")
    path, query = _target(target)
    return Head(
        method=method,
        version="2",
        target=target.decode("latin-1"),
        path=path,
        query=query,
        headers=headers,
        content_length=int(length),
        is_chunked=False,
        keeps_alive=True,
        expects_continue=_expects_continue(headers, "2"),
    )


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1").strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in ("host", "content-length", "authorization", "transfer-encoding"):
            raise BadRequestError(400, f"header {name} is given twice")
        else:
            headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
    return headers


def _target(url: bytes) -> tuple[str, dict[str, str]]:
    if url == b"*":
        return "*", {}
    try:
        parsed = httptools.parse_url(url)
        path = unquote((parsed.path or b"/").decode("ascii"), errors="strict")
        query = parse_qsl(
            (parsed.query or b"").decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_QUERY_FIELDS,
        )
    except (httptools.HttpParserError, ValueError) as error:
        raise BadRequestError(400, f"not a valid request target: {error}") from error
    if not path.startswith("/") or "\0" in path:
        raise BadRequestError(400, "not a valid request target")
    return path, dict(query)


def _is_chunked(headers: dict[str, str], version: str, upgrades: int) -> bool:
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked":
        raise BadRequestError(501, f"transfer-encoding {coding!r} is not supported; use chunked")
    if version == "1.0" or upgrades:
        raise BadRequestError(400, "transfer-encoding does not belong in this request")
    return True


def _keeps_alive(headers: dict[str, str], version: str) -> bool:
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    return "close" not in options and (version == "1.1" or "keep-alive" in options)


def _expects_continue(headers: dict[str, str], version: str) -> bool:
    expectation = headers.get("expect")
    if expectation is None or version == "1.0":
        return False
    if expectation.lower() != "100-continue":
        raise BadRequestError(417, f"expectation {expectation!r} is not supported")
    return True
