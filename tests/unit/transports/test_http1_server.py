import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import ResourceError
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Client, Limits, Request, Response, Server, start_server

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def post(body: bytes, fields: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n%b" % (
        fields,
        len(body),
        body,
    )


async def echo(request: Request) -> Response:
    return Response(status=200, body=request.method.encode() + b" " + request.body)


async def heard() -> None:
    """Long enough for the server to read what was sent to it: passes of the event loop are counted,
    so that it does not matter how long a busy machine takes for one.
    """
    for _ in range(20):
        await asyncio.sleep(0.0005)


async def everybody_left(server: Server) -> None:
    for _ in range(500):
        if not server.connections:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{server.connections} connections are still held")


def test_pipelined_requests_are_answered_in_order_however_they_are_cut(
    run: Any, serving: Any
) -> None:
    async def case() -> None:
        async with serving(echo) as (_, connect):
            stream = b"".join(post(b"n%d" % number) for number in range(20))
            for step in (1, 7, 64, len(stream)):
                peer = await connect()
                for start in range(0, len(stream), step):
                    peer.send(stream[start : start + step])
                    await asyncio.sleep(0)
                answers = [(await peer.answer())[2] for _ in range(20)]
                assert answers == [b"POST n%d" % number for number in range(20)]

    run(case())


def test_repeated_head_is_parsed_once_and_each_body_is_its_own(run: Any, serving: Any) -> None:
    async def case() -> None:
        async with serving(echo) as (server, connect):
            peer = await connect()
            for number in range(10, 30):
                peer.send(post(b"%d" % number))
                assert (await peer.answer())[2] == b"POST %d" % number
            assert len(server.heads) == 1

    run(case())


def test_chunked_body_is_joined_and_trailers_are_dropped(run: Any, serving: Any) -> None:
    async def headers(request: Request) -> Response:
        return Response(status=200, body=request.body + json.dumps(request.headers).encode())

    async def case() -> None:
        async with serving(headers) as (_, connect):
            peer = await connect()
            head = CHUNKED
            for _ in range(2):
                peer.send(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nHost: evil\r\n\r\n")
                status, _, body = await peer.answer()
                assert (status, body[:5]) == (200, b"abcde")
                assert json.loads(body[5:])["host"] == "h"

    run(case())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 5000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413),
        (CHUNKED + b"3e9\r\n" + b"x" * 1001, 413),
        (CHUNKED + b"zz\r\n", 400),
        (
            CHUNKED + b"1;" + b"x" * 5000,
            431,
        ),
        (
            CHUNKED + b"0\r\n\r\n" + GET,
            400,
        ),
        (
            CHUNKED + b"0\r\n\r\n" + GET[:-2] + b"Upgrade: a\r\nConnection: upgrade\r\n\r\n",
            400,
        ),
    ],
)
def test_bad_request_is_answered_once_and_cut_off(
    run: Any, serving: Any, sent: bytes, status: int
) -> None:
    async def case() -> None:
        limits = Limits(header_bytes=4096, body_bytes=1000)
        async with serving(echo, limits=limits) as (server, connect):
            peer = await connect()
            peer.send(sent)
            got, head, body = await peer.answer()
            peer.send(GET)
            assert (got, b"connection: close" in head) == (status, True)
            assert json.loads(body)["error"]
            peer.writer.write_eof()
            assert await peer.rest() == b""
            assert server.refusals == {status: 1}

    run(case())


def test_deadlines_cut_off_peers_that_dawdle(run: Any, serving: Any) -> None:
    async def case() -> None:
        clock = FakeClock()
        limits = Limits(header_timeout_s=10, body_timeout_s=20, idle_timeout_s=30)
        async with serving(echo, limits=limits, clock=clock) as (server, connect):
            head, body, idle = [await connect() for _ in range(3)]
            head.send(b"GET / HTTP/1.1\r\nHo")
            body.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
            idle.send(GET)
            assert (await idle.answer())[0] == 200
            await heard()
            clock.advance(11)
            server.sweep()
            assert (await head.answer())[0] == 408
            head.writer.close()
            clock.advance(10)
            server.sweep()
            assert (await body.answer())[0] == 408
            clock.advance(10)
            server.sweep()
            assert await idle.rest() == b""

    run(case())


def test_a_connection_that_was_opened_ahead_is_kept_as_long_as_one_between_requests(
    run: Any, serving: Any
) -> None:
    async def case() -> None:
        clock = FakeClock()
        limits = Limits(header_timeout_s=10, idle_timeout_s=30)
        async with serving(echo, limits=limits, clock=clock) as (server, connect):
            early, silent = await connect(), await connect()
            await heard()
            clock.advance(29)
            server.sweep()
            early.send(GET)
            assert (await early.answer())[0] == 200
            clock.advance(2)
            server.sweep()
            assert await silent.rest() == b""
            assert server.connections == 1

    run(case())


def test_one_that_never_spoke_makes_room_before_one_in_the_middle_of_a_request(
    run: Any, serving: Any
) -> None:
    async def case() -> None:
        clock = FakeClock()
        limits = Limits(header_timeout_s=10, idle_timeout_s=30, connections=2)
        async with serving(echo, limits=limits, clock=clock) as (server, connect):
            silent = await connect()
            await heard()
            clock.advance(1)
            server.sweep()
            half = await connect()
            half.send(GET[:9])
            await heard()
            newcomer = await connect()
            newcomer.send(GET)
            assert (await newcomer.answer())[0] == 200
            assert await silent.rest() == b""
            half.send(GET[9:])
            assert (await half.answer())[0] == 200

    run(case())


def test_deadline_does_not_cut_off_a_peer_that_waits_for_a_slow_handler(
    run: Any, serving: Any
) -> None:
    async def case() -> None:
        clock = FakeClock()
        release = asyncio.Event()

        async def slow(request: Request) -> Response:
            await release.wait()
            return Response(status=200)

        async with serving(slow, clock=clock) as (server, connect):
            peer = await connect()
            peer.send(GET)
            await heard()
            clock.advance(1e6)
            server.sweep()
            release.set()
            assert (await peer.answer())[0] == 200

    run(case())


def test_oldest_idle_peer_makes_room_when_all_places_are_taken(run: Any, serving: Any) -> None:
    async def case() -> None:
        clock = FakeClock()
        async with serving(echo, limits=Limits(connections=2), clock=clock) as (server, connect):
            useful = await connect()
            useful.send(GET)
            await useful.answer()
            silent = await connect()
            await heard()
            newcomer = await connect()
            newcomer.send(GET)
            assert (await newcomer.answer())[0] == 200
            assert await silent.rest() == b""
            useful.send(GET)
            assert (await useful.answer())[0] == 200
            assert server.connections == 2

    run(case())


def test_newcomer_is_refused_when_every_peer_waits_for_an_answer(run: Any, serving: Any) -> None:
    async def case() -> None:
        release = asyncio.Event()

        async def slow(request: Request) -> Response:
            await release.wait()
            return Response(status=200)

        async with serving(slow, limits=Limits(connections=1)) as (_, connect):
            busy = await connect()
            busy.send(GET)
            await heard()
            assert (await (await connect()).answer())[0] == 503
            release.set()
            assert (await busy.answer())[0] == 200

    run(case())


def test_head_and_no_content_have_no_body(run: Any, serving: Any) -> None:
    async def handler(request: Request) -> Response:
        if request.method == "DELETE":
            return Response(status=204)
        return Response(status=200, body=b"four")

    async def case() -> None:
        async with serving(handler) as (_, connect):
            peer = await connect()
            peer.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            head = await peer.reader.readuntil(b"\r\n\r\n")
            assert b"content-length: 4\r\n" in head
            peer.send(b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n")
            head = await peer.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 204 ")
            assert b"content-length" not in head
            peer.send(GET)
            assert (await peer.answer())[2] == b"four"

    run(case())


def test_continue_is_sent_when_a_client_waits_for_it(run: Any, serving: Any) -> None:
    async def case() -> None:
        async with serving(echo, limits=Limits(body_bytes=10)) as (_, connect):
            peer = await connect()
            head = (
                b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            )
            peer.send(head % 3)
            assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            peer.send(b"abc")
            assert (await peer.answer())[2] == b"POST abc"
            peer.send(head % 11)
            assert (await peer.answer())[0] == 413

    run(case())


def test_failed_handler_is_a_500_that_tells_nothing(run: Any, serving: Any, caplog: Any) -> None:
    async def broken(request: Request) -> Response:
        raise KeyError("secret")

    async def case() -> None:
        async with serving(broken) as (_, connect):
            peer = await connect()
            peer.send(GET + GET)
            assert (await peer.answer())[0] == 500
            status, _, body = await peer.answer()
            assert (status, body) == (500, b'{"error":"internal error"}')

    run(case())
    assert "path=/a" in caplog.text


def test_handler_is_cancelled_when_its_peer_leaves(run: Any, serving: Any) -> None:
    async def case() -> None:
        left = asyncio.Event()

        async def waits(request: Request) -> Response:
            try:
                await asyncio.sleep(3600)
            finally:
                left.set()
            return Response(status=200)

        async with serving(waits) as (server, connect):
            peer = await connect()
            peer.send(GET)
            await heard()
            peer.writer.close()
            async with asyncio.timeout(5):
                await left.wait()
            await everybody_left(server)

    run(case())


async def numbers(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%d," % number


@pytest.mark.parametrize(
    ("version", "length", "framing"),
    [(b"1.1", 6, b"content-length: 6"), (b"1.1", None, b"chunked"), (b"1.0", None, b"close")],
)
def test_stream_is_framed_by_length_chunks_or_close(
    run: Any, serving: Any, version: Any, length: Any, framing: Any
) -> None:
    async def handler(request: Request) -> Response:
        return Response(status=200, stream=numbers(3), length=length)

    async def case() -> None:
        async with serving(handler) as (_, connect):
            peer = await connect()
            peer.send(b"GET / HTTP/" + version + b"\r\nHost: h\r\nConnection: close\r\n\r\n")
            head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
            assert framing in head
            wanted = b"0,1,2,"
            if framing == b"chunked":
                wanted = b"2\r\n0,\r\n2\r\n1,\r\n2\r\n2,\r\n0\r\n\r\n"
            assert body == wanted

    run(case())


def test_stream_that_breaks_its_promise_of_length_cuts_the_peer_off(run: Any, serving: Any) -> None:
    async def handler(request: Request) -> Response:
        return Response(status=200, stream=numbers(3), length=7)

    async def case() -> None:
        async with serving(handler) as (_, connect):
            peer = await connect()
            peer.send(GET)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await peer.answer()

    run(case())


def test_peer_that_does_not_read_its_answer_is_cut_off(run: Any, serving: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def handler(request: Request) -> Response:
        return Response(status=200, stream=endless(), length=1 << 40)

    async def case() -> None:
        clock = FakeClock()
        async with serving(handler, clock=clock) as (server, connect):
            peer = await connect()
            peer.writer.transport.pause_reading()
            peer.send(GET)
            await heard()
            async with asyncio.timeout(60):
                while server.connections:  # until the pipe is full there is nobody to cut off
                    clock.advance(1000)
                    server.sweep()
                    await heard()

    run(case())


def test_close_lets_answers_out_and_refuses_newcomers(run: Any, serving: Any) -> None:
    async def case() -> None:
        release = asyncio.Event()

        async def slow(request: Request) -> Response:
            await release.wait()
            return Response(status=200, body=b"late")

        async with serving(slow) as (server, connect):
            waiting, idle = await connect(), await connect()
            waiting.send(GET)
            await heard()
            closing = asyncio.create_task(server.close(drain_s=5))
            assert await idle.rest() == b""
            with pytest.raises(ConnectionRefusedError):
                await connect()
            release.set()
            status, head, body = await waiting.answer()
            assert (status, body, b"connection: close" in head) == (200, b"late", True)
            waiting.writer.close()
            await closing

    run(case())


def test_address_in_use_is_a_resource_error_with_a_hint(run: Any, tmp_path: Path) -> None:
    async def case() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(ResourceError, match=r"in use.*port 0"):
                await start_server(echo, port=taken.getsockname()[1], clock=FakeClock())
        path = tmp_path / "s"
        server = await start_server(echo, uds=path, clock=FakeClock())
        with pytest.raises(ResourceError, match="in use"):
            await start_server(echo, uds=path, clock=FakeClock())
        await server.close(drain_s=0)
        assert not path.exists()

    run(case())


def test_socket_left_by_a_killed_server_is_replaced(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    leftover = socket.socket(socket.AF_UNIX)
    leftover.bind(str(path))
    leftover.close()

    async def case() -> None:
        server = await start_server(echo, uds=path, clock=FakeClock())
        assert stat.S_ISSOCK(path.stat().st_mode)
        async with Client(uds=path) as client:
            assert (await client.request("GET", "/")).status == 200
        await server.close(drain_s=0)

    run(case())


def test_killed_clients_leave_nothing_behind(run: Any, serving: Any) -> None:
    async def case() -> None:
        async def slow(request: Request) -> Response:
            await asyncio.sleep(0.01)
            return Response(status=200, body=b"x" * 100_000)

        async with serving(slow) as (server, connect):
            peers = [await connect() for _ in range(50)]
            for number, peer in enumerate(peers):
                peer.send(post(b"x" * 1000)[: 20 * number + 1])
            await asyncio.sleep(0.005)
            for peer in peers:
                peer.writer.transport.abort()
            await everybody_left(server)
            survivor = await connect()
            survivor.send(GET)
            assert (await survivor.answer())[0] == 200

    run(case())


class Guest:
    """A peer that does nothing."""

    served = 0
    deadline_s = float("inf")
    head = None

    def abort(self) -> None: ...

    def close_if_idle(self, now_s: float) -> None: ...

    def expire(self, now_s: float) -> None: ...


def test_memory_is_given_back_once_after_a_crowd_has_left() -> None:
    given_back: list[int] = []
    server = Server(
        lambda *_: None,
        limits=Limits(connections=2000),
        clock=FakeClock(),
        trim=lambda: given_back.append(server.connections),
    )
    guests = [Guest() for _ in range(1000)]
    for guest in guests:
        server.admit(guest)
    server.sweep()
    for guest in guests[:700]:
        server.forget(guest)
    server.sweep()
    assert given_back == []
    for guest in guests[700:800]:
        server.forget(guest)
    for _ in range(3):
        server.sweep()
    assert given_back == [200]
    assert server.connections == 200


def test_whoever_left_the_first_part_of_a_body_makes_room_when_it_is_too_much(
    run: Any, serving: Any
) -> None:
    size, here = 190_000, 150_000

    def begin(peer: Any, part: int) -> None:
        peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        peer.send(b"x" * part)

    async def case() -> None:
        limits = Limits(body_bytes=200_000, held_bytes=400_000)
        async with serving(echo, limits=limits) as (server, connect):
            modest, left, slow, newcomer = [await connect() for _ in range(4)]
            begin(modest, 50_000)
            for peer in (left, slow, newcomer):
                begin(peer, here)
                await peer.writer.drain()
                for _ in range(3):
                    await heard()
            assert (await left.answer())[0] == 503
            assert server.refusals == {503: 1}
            for peer, part in ((slow, here), (newcomer, here), (modest, 50_000)):
                peer.send(b"x" * (size - part))
                assert (await peer.answer())[0] == 200
            begin(modest, here)
            begin(slow, here)
            for peer in (modest, slow):  # what became whole counts no more
                peer.send(b"x" * (size - here))
                assert (await peer.answer())[0] == 200
            assert server.refusals == {503: 1}

    run(case())


def test_chunks_that_were_left_make_room_too(run: Any, serving: Any) -> None:
    chunk = b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000)

    async def case() -> None:
        limits = Limits(body_bytes=200_000, held_bytes=150_000)
        async with serving(echo, limits=limits) as (server, connect):
            left, other = await connect(), await connect()
            for peer in (left, other):
                peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
                peer.send(chunk)
                await peer.writer.drain()
                for _ in range(3):
                    await heard()
            other.send(chunk)
            assert (await left.answer())[0] == 503
            other.send(b"0\r\n\r\n")
            assert (await other.answer())[0] == 200
            assert server.refusals == {503: 1}

    run(case())
