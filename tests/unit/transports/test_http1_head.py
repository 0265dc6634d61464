import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.transports._http1_head import BadRequestError, parse_head


def refused(raw: bytes) -> int:
    with pytest.raises(BadRequestError) as caught:
        parse_head(raw)
    return caught.value.status


def test_head_is_read_with_decoded_path_query_and_lower_case_names() -> None:
    head, _, _ = parse_head(
        b"POST /v2/models/a%20b/infer?x=1&y=%C3%A9 HTTP/1.1\r\nHost: h\r\n"
        b"Content-Length: 7 \r\n\r\n"
    )
    assert (head.method, head.path) == ("POST", "/v2/models/a b/infer")
    assert head.query == {"x": "1", "y": "\u00e9"}
    assert head.headers == {"host": "h", "content-length": "7"}
    assert (head.content_length, head.keeps_alive, head.is_chunked) == (7, True, False)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n", 400),
        (b"Content-Length: +3\r\n", 400),
        (b"Content-Length: 3,3\r\n", 400),
        (b"Content-Length:\r\n", 400),
        (b"Content-Length: 99999999999999999999999\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding : chunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", 400),
        (b"A: b\r\n folded\r\n", 400),
        (b"A: b\x00\r\n", 400),
        (b"Host: other\r\n", 400),
        (b"Expect: a-miracle\r\n", 417),
    ],
)
def test_head_is_refused_when_it_could_be_read_in_two_ways(fields: bytes, status: int) -> None:
    assert refused(b"POST / HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n") == status


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: h\n\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /?a=%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /?" + b"&".join([b"a=1"] * 100) + b" HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    ],
)
def test_head_is_refused_when_the_request_line_is_wrong(raw: bytes, status: int) -> None:
    assert refused(raw) == status


def test_upgrade_offer_is_ignored() -> None:
    head, _, _ = parse_head(
        b"POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 4\r\n\r\n"
    )
    assert head.content_length == 4


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: foo, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_connection_is_kept_as_the_version_says(
    version: bytes, connection: bytes, *, keeps: bool
) -> None:
    head, _, _ = parse_head(b"GET / HTTP/" + version + b"\r\nHost: h\r\n" + connection + b"\r\n")
    assert head.keeps_alive is keeps


_PIECES = st.sampled_from(
    [
        b"GET",
        b"POST",
        b" ",
        b"/",
        b"/v2?a=1",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: h",
        b"Content-Length: ",
        b"5",
        b"0",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"\x00",
        b"\xff",
    ]
)


@given(st.lists(_PIECES | st.binary(max_size=4), max_size=24).map(b"".join))
def test_any_bytes_are_a_head_or_refused(raw: bytes) -> None:
    try:
        head, collector, _ = parse_head(raw + b"\r\n\r\n")
    except BadRequestError:
        return
    assert head.is_chunked or collector.is_complete == (head.content_length == 0)


@given(st.lists(_PIECES, max_size=12).map(b"".join))
def test_accepted_head_means_the_same_to_a_parser_that_has_served_before(rest: bytes) -> None:
    """Kept heads rely on it: llhttp's verdict on a head does not depend on earlier messages."""
    raw = b"GET / HTTP/1.1\r\nHost: h\r\n" + rest + b"\r\n\r\n"
    try:
        head, fresh, _ = parse_head(raw[: raw.index(b"\r\n\r\n") + 4])
    except BadRequestError:
        return
    seen: list[tuple[bytes, bytes]] = []

    class Second:
        def on_header(self, name: bytes, value: bytes) -> None:
            seen.append((name, value))

    parser = httptools.HttpRequestParser(Second())
    parser.feed_data(b"GET / HTTP/1.1\r\n\r\n")
    parser.feed_data(raw[: raw.index(b"\r\n\r\n") + 4])
    assert seen == fresh.raw_headers
    assert head.method == "GET"
