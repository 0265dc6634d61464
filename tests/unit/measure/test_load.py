"""The load generator: what it counts, what it charges, and what it never loses."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
import uvloop

from edgewright.clock import SystemClock
from edgewright.errors import InputError, TransportError
from edgewright.measure._load_connection import _PLAIN_HEAD
from edgewright.measure._load_record import Recorder
from edgewright.measure.load import (
    ClosedLoop,
    LoadLimits,
    LoadTarget,
    OpenLoop,
    closed_loop,
    encode_request,
    even_arrivals,
    open_loop,
    poisson_arrivals,
)
from edgewright.measure.load_result import GIVEN_UP, LoadResult
from edgewright.transports.http1 import Request, Response, start_server

Handler = Callable[[Request], Awaitable[Response]]
Load = Callable[[LoadTarget, list[bytes]], Awaitable[LoadResult]]


def serve_and_load(handler: Handler, load: Load) -> LoadResult:
    async def session() -> LoadResult:
        server = await start_server(handler, clock=SystemClock())
        target = LoadTarget.from_url(server.address)
        requests = [encode_request("POST", "/", target=target, body=body) for body in (b"a", b"b")]
        try:
            return await load(target, requests)
        finally:
            await server.close(0.1)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(session())


async def echo(request: Request) -> Response:
    return Response(status=200, body=request.body)


def test_a_closed_loop_ends_at_its_number_of_requests() -> None:
    result = serve_and_load(
        echo, lambda t, r: closed_loop(t, r, LoadLimits(requests=100), connections=3)
    )
    assert (result.requests, result.answered, result.failed) == (100, 100, 0)
    assert [dict(known) for known in result.answers] == [{b"a": 50}, {b"b": 50}]
    assert len(result.latencies_s()) == 100


def test_a_closed_loop_ends_at_its_seconds() -> None:
    result = serve_and_load(echo, lambda t, r: closed_loop(t, r, LoadLimits(seconds=0.2)))
    assert result.answered > 0
    assert 0.15 < result.wall_s < 20


def test_an_open_loop_sends_every_scheduled_request_and_keeps_their_order() -> None:
    arrivals_s = poisson_arrivals(500, 0.4, rng=np.random.default_rng(0))
    result = serve_and_load(
        echo, lambda t, r: open_loop(t, r, LoadLimits(seconds=30), arrivals_s=arrivals_s)
    )
    assert result.requests == result.answered == len(arrivals_s) == 200
    assert np.allclose(result.scheduled_s, arrivals_s, atol=1e-6)
    assert (result.sent_s >= result.scheduled_s).all()


def test_a_stall_is_charged_to_every_request_that_it_delayed() -> None:
    count = 0

    async def stalls_once(request: Request) -> Response:
        nonlocal count
        count += 1
        if count == 50:
            import time

            time.sleep(0.3)  # noqa: ASYNC251 - the whole server stands still, as in a long pause
        return Response(status=200)

    arrivals_s = even_arrivals(400, 0.6)

    async def session() -> LoadResult:
        # The server stands still in a process of its own in real life; here both share a loop, so
        # the generator itself is late, which an open loop must charge all the same.
        server = await start_server(stalls_once, clock=SystemClock())
        target = LoadTarget.from_url(server.address)
        requests = [encode_request("GET", "/", target=target)]
        result = await open_loop(target, requests, LoadLimits(seconds=30), arrivals_s=arrivals_s)
        await server.close(0.1)
        return result

    result = asyncio.run(session())
    late = int((result.latencies_s() > 0.1).sum())
    assert result.answered == 240
    assert 60 <= late <= 200, (
        "those of the stall, and not all; a busy machine adds stalls of its own"
    )


def test_error_answers_are_counted_by_status_with_their_text() -> None:
    count = 0

    async def refuses_some(request: Request) -> Response:
        nonlocal count
        count += 1
        return Response(status=503 if count % 4 == 0 else 200, body=b"busy")

    result = serve_and_load(
        refuses_some, lambda t, r: closed_loop(t, r, LoadLimits(requests=40), connections=2)
    )
    assert result.errors == {"status 503": 10}
    assert result.refusals == {"status 503": b"busy"}
    assert (result.answered, len(result.latencies_s())) == (30, 30)


def test_an_answer_that_does_not_come_is_given_up_and_still_counts_as_slow() -> None:
    async def never(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response(status=200)

    limits = LoadLimits(seconds=0.4, timeout_s=0.2, drain_s=0.3)
    result = serve_and_load(never, lambda t, r: closed_loop(t, r, limits, connections=2))
    assert result.answered == 0
    assert set(result.errors) <= {"no answer within 0.2 s", "no answer by the end of the run"}
    assert result.failed == result.requests >= 2
    assert (result.states == GIVEN_UP).all()
    assert (result.latencies_s() >= 0.19).all()


def test_overload_leaves_no_request_uncounted() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return Response(status=200)

    arrivals_s = even_arrivals(500, 0.3)
    limits = LoadLimits(seconds=0.3, drain_s=0.2)
    result = serve_and_load(
        slow, lambda t, r: open_loop(t, r, limits, arrivals_s=arrivals_s, connections=2)
    )
    assert result.requests == 150
    assert result.answered + result.failed == 150
    assert result.errors["no answer by the end of the run"] > 100
    assert len(result.latencies_s()) == 150


def test_distinct_answers_beyond_the_room_are_counted_not_kept() -> None:
    count = 0

    async def differs(request: Request) -> Response:
        nonlocal count
        count += 1
        return Response(status=200, body=b"%05d" % count)

    limits = LoadLimits(requests=50, keep_bytes=100)
    result = serve_and_load(differs, lambda t, r: closed_loop(t, r, limits))
    assert sum(len(known) for known in result.answers) == 20
    assert result.unkept == 30


def test_an_answer_that_differs_once_is_seen_among_equal_ones_and_payloads_are_told_apart() -> None:
    count = 0

    async def differs_once(request: Request) -> Response:
        nonlocal count
        count += 1
        return Response(status=200, body=b"odd!" if count == 31 else b"same")

    result = serve_and_load(
        differs_once, lambda t, r: closed_loop(t, r, LoadLimits(requests=80), connections=1)
    )
    assert result.answers == ({b"same": 39, b"odd!": 1}, {b"same": 40})
    assert result.answered == 80
    assert np.isfinite(result.done_s).all()


def test_heads_that_never_repeat_change_nothing() -> None:
    count = 0

    async def numbered(request: Request) -> Response:
        nonlocal count
        count += 1
        return Response(status=200, body=request.body, headers={"x-request": str(count)})

    result = serve_and_load(
        numbered, lambda t, r: closed_loop(t, r, LoadLimits(requests=60), connections=2)
    )
    assert result.answers == ({b"a": 30}, {b"b": 30})


def test_more_requests_than_were_made_room_for_are_all_on_the_record() -> None:
    record = Recorder(payloads=3, keep_bytes=1000)
    for number in range(10_000):
        index = record.schedule(float(number))
        record.answer(index, number + 0.5, b"%d" % (number % 3))
    result = record.result()
    assert result.requests == result.answered == 10_000
    assert result.answers == ({b"0": 3334}, {b"1": 3333}, {b"2": 3333})
    assert (result.latencies_s() == 0.5).all()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"hello\r\n\r\n", "the answer is not HTTP"),
        (b"", "connection closed before the answer"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            "connection closed before the answer",
        ),
    ],
)
def test_broken_answers_are_errors_and_the_run_goes_on(reply: bytes, reason: str) -> None:
    async def session() -> LoadResult:
        async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(reply)
            writer.close()

        server = await asyncio.start_server(broken, "127.0.0.1", 0)
        target = LoadTarget(port=server.sockets[0].getsockname()[1])
        requests = [encode_request("GET", "/", target=target)]
        result = await closed_loop(target, requests, LoadLimits(seconds=5, requests=5))
        server.close()
        await asyncio.sleep(0.05)
        return result

    result = asyncio.run(session())
    assert (result.errors, result.answered) == ({reason: 5}, 0)


@pytest.mark.parametrize(
    "reply",
    [
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab", b"c\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 3\r\n\r\na", b"bc"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"],
    ],
)
def test_answers_in_pieces_chunks_and_closing_connections_are_read(reply: list[bytes]) -> None:
    async def session() -> LoadResult:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1000):
                for piece in reply:
                    writer.write(piece)
                    await asyncio.sleep(0.001)
                if b"close" in reply[0]:
                    break
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        target = LoadTarget(port=server.sockets[0].getsockname()[1])
        requests = [encode_request("GET", "/", target=target)]
        result = await closed_loop(target, requests, LoadLimits(seconds=5, requests=6))
        server.close()
        await asyncio.sleep(0.05)
        return result

    result = asyncio.run(session())
    assert result.answers == ({b"abc": 6},)
    assert not result.errors


def test_a_cancelled_run_keeps_what_it_measured() -> None:
    async def session() -> LoadResult:
        server = await start_server(echo, clock=SystemClock())
        target = LoadTarget.from_url(server.address)
        loop = ClosedLoop(
            target,
            [encode_request("GET", "/", target=target)],
            LoadLimits(seconds=60),
            connections=1,
        )
        task = asyncio.create_task(loop.run())
        while loop.result().answered <= 5:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.close(0.1)
        return loop.result()

    result = asyncio.run(session())
    assert result.is_interrupted
    assert result.answered > 5


def test_an_overload_that_is_cancelled_leaves_nothing_behind() -> None:
    async def never(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response(status=200)

    async def session() -> tuple[LoadResult, set[str]]:
        server = await start_server(never, clock=SystemClock())
        target = LoadTarget.from_url(server.address)
        loop = OpenLoop(
            target,
            [encode_request("GET", "/", target=target)],
            LoadLimits(seconds=60),
            arrivals_s=even_arrivals(1000, 60.0),
            connections=2,
        )
        task = asyncio.create_task(loop.run())
        while loop.result().requests <= 20:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)
        left = {one.get_name() for one in asyncio.all_tasks() if "load" in one.get_name()}
        result = loop.result()
        await server.close(0.1)
        return result, left

    result, left = asyncio.run(session())
    assert (result.answered, result.errors, left) == (0, {}, set())


def test_a_server_that_is_not_there_is_a_transport_error(unused_port: int) -> None:
    target = LoadTarget(port=unused_port)
    with pytest.raises(TransportError, match="no connection"):
        asyncio.run(closed_loop(target, [b"x"], LoadLimits(seconds=1)))


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("url", ["ftp://x", "http://", "x:80", "http://h:99999", "https://h"])
def test_urls_that_load_cannot_be_sent_to_are_refused(url: str) -> None:
    with pytest.raises(InputError):
        LoadTarget.from_url(url)


def test_targets_know_where_they_are() -> None:
    assert LoadTarget.from_url("unix:/run/x.sock").text == "unix:/run/x.sock"
    assert LoadTarget.from_url("http://[::1]:80/v").authority == "[::1]:80"
    assert LoadTarget.from_url("http://localhost:1").is_loopback
    assert not LoadTarget.from_url("http://pi.example:1").is_loopback


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(poisson_arrivals(1000, 20.0, rng=np.random.default_rng(1)))
    assert gaps.mean() == pytest.approx(1e-3, rel=0.01)
    assert gaps.std() == pytest.approx(1e-3, rel=0.03)


@pytest.mark.parametrize(
    ("fields", "is_plain"),
    [
        (b"content-length: 3\r\n", True),
        (b"Content-Length:3\r\nServer: a b\r\nConnection: keep-alive\r\n", True),
        (b"date: x\r\ncontent-length: 3\r\n", True),
        (b"", False),
        (b"content-length: 3\r\ncontent-length: 4\r\n", False),
        (b"content-length: 3\r\ntransfer-encoding: chunked\r\n", False),
        (b"content-length: 3\r\nconnection: close\r\n", False),
        (b"content-length: -3\r\n", False),
        (b"content-length : 3\r\n", False),
        (b"content-length: 3\r\n folded\r\n", False),
        (b"content-length: 3\r\nno colon\r\n", False),
    ],
)
def test_only_a_head_that_says_its_length_once_needs_no_parser(
    fields: bytes, is_plain: bool
) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
    found = _PLAIN_HEAD.fullmatch(head)
    assert (found is not None) == is_plain
    if found is not None:
        assert (found[1], found[2]) == (b"200", b"3")
    for line in (b"HTTP/1.1 100 Continue", b"HTTP/1.1 204 No Content", b"HTTP/1.0 200 OK"):
        assert not _PLAIN_HEAD.fullmatch(line + b"\r\n" + fields + b"\r\n")
