"""HTTP/2 by real clients, and by one that knows no manners."""

import asyncio
import contextlib
import gc
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgewright.testing import FakeClock
from edgewright.testing.tls import certificate
from edgewright.transports.http1 import (
    Client,
    Exchange,
    Head,
    Limits,
    Server,
    preamble,
    start_application,
)

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
    import httpx

    from edgewright.transports._http2_protocol import STREAMS_MOST
    from edgewright.transports.http2 import (
        NOISE_MOST,
        RESETS_MOST,
        Http2Connection,
    )
except ModuleNotFoundError as error:
    pytest.skip(f"absent: {error.name} (extras http2, oracles)", allow_module_level=True)

OK = preamble(200, x_told="yes")
LIMITS = Limits(body_bytes=200_000, header_bytes=8192)
CALM, NO_ERROR = 11, 0
OPENED: list[asyncio.StreamWriter] = []
"""Clients of the test at hand, cut off at its end."""


def echo(exchange: Exchange, head: Head, body: bytes) -> None:
    """The body, or as many bytes as the query asks for, or what was asked."""
    if "bytes" in head.query:
        exchange.reply(OK, b"x" * int(head.query["bytes"]))
    else:
        exchange.reply(OK, body or f"{head.method} {head.path} {head.headers['host']}".encode())


@asynccontextmanager
async def running(
    folder: Path, **limits: int
) -> AsyncIterator[tuple[Server, ssl.SSLContext, FakeClock]]:
    path, _ = certificate(folder)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(path)
    clock = FakeClock()
    server = await start_application(
        echo,
        clock=clock,
        limits=msgspec.structs.replace(LIMITS, **limits),
        tls=listening,
        http2=Http2Connection,
    )
    try:
        yield server, ssl.create_default_context(cafile=str(path)), clock
    finally:
        for writer in OPENED:
            writer.transport.abort()
        OPENED.clear()
        await server.close(drain_s=1)


class Rude:
    """A client on the bare protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        OPENED.append(writer)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.protocol = h2.connection.H2Connection(config)
        self.events: list[Any] = []

    @classmethod
    async def connect(cls, server: Server, tls: ssl.SSLContext, **settings: int) -> "Rude":
        tls.set_alpn_protocols(["h2"])
        port = int(server.address.rpartition(":")[2])
        found = cls(*await asyncio.open_connection("localhost", port, ssl=tls))
        if settings:
            codes = h2.settings.SettingCodes
            chosen = {codes[name]: number for name, number in settings.items()}
            found.protocol.local_settings = h2.settings.Settings(True, chosen)
        found.protocol.initiate_connection()
        await found.flush()
        return found

    async def flush(self) -> None:
        self.writer.write(self.protocol.data_to_send())
        await self.writer.drain()

    def begin(self, path: str = "/", *, ends: bool = True, **headers: str) -> int:
        number = int(self.protocol.get_next_available_stream_id())
        method = "GET" if ends else "POST"
        fields = [
            *((":method", method), (":path", path), (":scheme", "https"), (":authority", "h")),
            *((name.replace("_", "-"), value) for name, value in headers.items()),
        ]
        self.protocol.send_headers(number, fields, end_stream=ends)
        return number

    async def until(self, done: Callable[[Any], bool]) -> Any:
        """The first event of this kind; None when the server has hung up before."""
        while True:
            for event in self.events:
                if done(event):
                    return event
            try:
                data = await asyncio.wait_for(self.reader.read(1 << 16), 10)
            except OSError:
                data = b""
            if not data:
                return None
            self.events += self.protocol.receive_data(data)

    async def goodbye(self) -> int | None:
        """The code that the server sent us away with."""
        event = await self.until(lambda one: isinstance(one, h2.events.ConnectionTerminated))
        return None if event is None else int(event.error_code)

    async def answer(self, number: int) -> tuple[int, bytes]:
        def ends(event: Any) -> bool:
            kinds = (h2.events.StreamEnded, h2.events.StreamReset)
            return isinstance(event, kinds) and event.stream_id == number

        await self.until(ends)
        mine = [one for one in self.events if getattr(one, "stream_id", None) == number]
        heads = [one for one in mine if isinstance(one, h2.events.ResponseReceived)]
        body = b"".join(one.data for one in mine if isinstance(one, h2.events.DataReceived))
        return int(dict(heads[0].headers)[":status"]), body


def test_httpx_gets_many_answers_over_one_connection_beside_http1(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            address = server.address.replace("127.0.0.1", "localhost")
            async with httpx.AsyncClient(http2=True, verify=tls) as client:
                answers = await asyncio.gather(
                    *(client.post(f"{address}/{n}", content=b"%d" % n * n) for n in range(1, 90))
                )
                assert {answer.http_version for answer in answers} == {"HTTP/2"}
                assert [answer.content for answer in answers] == [
                    b"%d" % n * n for n in range(1, 90)
                ]
                large = await client.get(f"{address}/?bytes=3000000")
                assert len(large.content) == 3_000_000
                body = b"b" * 190_000
                assert (await client.post(f"{address}/", content=body)).content == body
                head = await client.head(f"{address}/a")
                told = f"HEAD /a {address.removeprefix('https://')}"
                assert (head.content, int(head.headers["content-length"])) == (b"", len(told))
                assert head.headers["x-told"] == "yes"
                assert server.connections == 1
            old = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
            async with Client(address, tls=old) as client1:
                assert (await client1.request("GET", "/one")).body.startswith(b"GET /one ")

    asyncio.run(case())


def test_curl_speaks_to_it(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("absent: curl (Debian package curl)")

    async def case() -> None:
        async with running(tmp_path) as (server, _, _clock):
            address = server.address.replace("127.0.0.1", "localhost")
            words = ["curl", "-s", "--http2", "--cacert", "both.pem"]
            done = await asyncio.to_thread(
                subprocess.run,
                [*words, "-w", "%{http_version}", "-d", "asked ", f"{address}/"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout == "asked 2"

    asyncio.run(case())


def test_answers_wait_for_the_windows_that_the_peer_grants(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rude = await Rude.connect(server, tls, INITIAL_WINDOW_SIZE=10)
            slow, small = rude.begin("/?bytes=35"), rude.begin("/?bytes=5")
            await rude.flush()
            assert await rude.answer(small) == (200, b"x" * 5)
            for _ in range(3):
                rude.protocol.increment_flow_control_window(10, slow)
                await rude.flush()
                await asyncio.sleep(0.01)
            assert await rude.answer(slow) == (200, b"x" * 35)

    asyncio.run(case())


def test_answer_that_nobody_makes_room_for_is_dropped_in_time(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, clock):
            rude = await Rude.connect(server, tls, INITIAL_WINDOW_SIZE=0)
            number = rude.begin("/?bytes=9")
            await rude.flush()
            await rude.until(lambda one: isinstance(one, h2.events.ResponseReceived))
            clock.advance(LIMITS.body_timeout_s + 1)
            server.sweep()
            event = await rude.until(lambda one: isinstance(one, h2.events.StreamReset))
            assert event.stream_id == number

    asyncio.run(case())


def test_requests_that_are_cancelled_at_once_cost_the_others_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rude = await Rude.connect(server, tls)
            answered = rude.begin("/before")
            cancelled = [
                rude.begin("/cancelled"),
                rude.begin("/%ff"),
                rude.begin(ends=False, content_length="200001"),
                rude.begin(ends=False, content_length="9", expect="100-continue"),
            ]
            for number in cancelled:
                rude.protocol.reset_stream(number, 8)
            after = rude.begin("/after")
            await rude.flush()
            assert await rude.answer(answered) == (200, b"GET /before h")
            assert await rude.answer(after) == (200, b"GET /after h")
            later = rude.begin("/later")
            await rude.flush()
            assert await rude.answer(later) == (200, b"GET /later h")
            assert not {getattr(one, "stream_id", None) for one in rude.events} & {*cancelled}

    asyncio.run(case())


async def settings_flood(rude: Rude) -> None:
    for _ in range(NOISE_MOST + 10):
        rude.protocol.update_settings({h2.settings.SettingCodes.MAX_FRAME_SIZE: 16384})


async def ping_flood(rude: Rude) -> None:
    for number in range(NOISE_MOST + 10):
        rude.protocol.ping(number.to_bytes(8, "big"))


async def ping_answers(rude: Rude) -> None:
    await rude.flush()
    rude.writer.write((b"\x00\x00\x08\x06\x01" + bytes(4 + 8)) * (NOISE_MOST + 10))


async def settings_answers(rude: Rude) -> None:
    await rude.flush()
    rude.writer.write((b"\x00\x00\x00\x04\x01" + bytes(4)) * (NOISE_MOST + 10))


async def empty_frames(rude: Rude) -> None:
    number = rude.begin(ends=False)
    for _ in range(NOISE_MOST + 10):
        rude.protocol.send_data(number, b"")


async def rapid_reset(rude: Rude) -> None:
    for _ in range(RESETS_MOST + 10):
        rude.protocol.reset_stream(rude.begin(ends=False), 8)
        await rude.flush()


async def window_updates(rude: Rude) -> None:
    for _ in range(NOISE_MOST + 10):
        rude.protocol.increment_flow_control_window(1)


@pytest.mark.parametrize(
    "flood",
    [
        settings_flood,
        ping_flood,
        ping_answers,
        settings_answers,
        empty_frames,
        rapid_reset,
        window_updates,
    ],
)
def test_who_floods_is_sent_away_and_others_are_answered(tmp_path: Path, flood: Any) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rude = await Rude.connect(server, tls)
            with contextlib.suppress(OSError):  # it is sent away while it goes on
                await flood(rude)
                await rude.flush()
            assert await rude.goodbye() in (CALM, None)
            assert server.refusals == {429: 1}
            polite = await Rude.connect(server, tls)
            number = polite.begin("/polite")
            await polite.flush()
            assert await polite.answer(number) == (200, b"GET /polite h")

    asyncio.run(case())


def test_headers_and_bodies_have_the_limits_of_http1(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, clock):
            rude = await Rude.connect(server, tls)
            declared = rude.begin(ends=False, content_length="200001")
            await rude.flush()
            assert (await rude.answer(declared))[0] == 413
            number = rude.begin(ends=False)
            for _ in range(20):
                rude.protocol.send_data(number, b"x" * 3000)
            await rude.flush()
            slow = rude.begin(ends=False)
            rude.protocol.send_data(slow, b"x")
            await rude.flush()
            await asyncio.sleep(0.05)
            clock.advance(LIMITS.body_timeout_s + 1)
            server.sweep()
            assert (await rude.answer(slow))[0] == 408
            odd = rude.begin("/%ff")
            await rude.flush()
            assert (await rude.answer(odd))[0] == 400
            assert rude.protocol.remote_settings.max_concurrent_streams == STREAMS_MOST

            fat = await Rude.connect(server, tls)
            fields = {f"x_{number}": "v" * 200 for number in range(60)}
            large, small = fat.begin(**fields), fat.begin("/small")
            await fat.flush()
            assert (await fat.answer(large))[0] == 431
            assert (await fat.answer(small))[0] == 200
            fat.begin(**{name: value * 4 for name, value in fields.items()})
            await fat.flush()
            assert await fat.goodbye() is not None
            assert server.refusals[431] == 2

    asyncio.run(case())


def test_bodies_of_all_streams_together_are_limited(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rude = await Rude.connect(server, tls)
            numbers = [rude.begin(ends=False) for _ in range(10)]
            for _ in range(8):
                for number in numbers:
                    room = rude.protocol.local_flow_control_window(number)
                    if room >= 3000 and number in rude.protocol.streams:
                        rude.protocol.send_data(number, b"x" * 3000)
                await rude.flush()
                await asyncio.sleep(0.01)
                while not rude.reader.at_eof():
                    try:
                        data = await asyncio.wait_for(rude.reader.read(1 << 16), 0.05)
                    except TimeoutError:
                        break
                    rude.events += rude.protocol.receive_data(data)
                if any(isinstance(one, h2.events.ResponseReceived) for one in rude.events):
                    break
            (first, *_) = [one for one in rude.events if hasattr(one, "headers")]
            assert dict(first.headers)[":status"] == "413"

    asyncio.run(case())


def test_idle_peer_is_told_when_the_server_closes(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rude = await Rude.connect(server, tls)
            number = rude.begin("/a")
            await rude.flush()
            assert (await rude.answer(number))[0] == 200
            await server.close(drain_s=1)
            assert await rude.goodbye() == NO_ERROR

    asyncio.run(case())


def test_what_comes_while_the_server_closes_may_be_asked_elsewhere(tmp_path: Path) -> None:
    """A reset alone is an error to clients; a goodbye that says what was taken is none."""

    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rude = await Rude.connect(server, tls)
            early = rude.begin("/", ends=False, expect="100-continue")
            await rude.flush()
            await rude.until(lambda e: isinstance(e, h2.events.InformationalResponseReceived))
            closing = asyncio.create_task(server.close(drain_s=5))
            await asyncio.sleep(0)
            late = rude.begin("/late")
            rude.protocol.send_data(early, b"asked before", end_stream=True)
            await rude.flush()
            assert await rude.answer(early) == (200, b"asked before")
            assert await rude.goodbye() == NO_ERROR
            await closing
            (end,) = [e for e in rude.events if isinstance(e, h2.events.ConnectionTerminated)]
            assert end.last_stream_id == early
            assert not [e for e in rude.events if getattr(e, "stream_id", None) == late]

    asyncio.run(case())


def test_garbage_is_a_refusal(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            tls.set_alpn_protocols(["h2"])
            port = int(server.address.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("localhost", port, ssl=tls)
            writer.write(b"POST / HTTP/1.1\r\nhost: h\r\n\r\n" + json.dumps([1] * 500).encode())
            assert len(await reader.read()) < 200
            assert server.refusals == {400: 1}
            OPENED.append(writer)

    asyncio.run(case())


async def sent_away_after(rude: Rude, server: Server, clock: FakeClock) -> float:
    """How many seconds pass until the server hangs up, while the peer sends nothing more."""
    began_s = clock.monotonic_s()
    leaving = asyncio.create_task(rude.goodbye())
    while not leaving.done():
        assert clock.monotonic_s() < began_s + 1000, "it is kept for ever"
        await asyncio.sleep(1e-3)
        clock.advance(1)
        server.sweep()
    await leaving
    return clock.monotonic_s() - began_s


async def says_nothing(rude: Rude) -> None:
    """Beyond its preface and settings."""


async def headers_without_end(rude: Rude) -> None:
    rude.writer.write(bytes([0, 0, 3, 1, 0, 0, 0, 0, 1]) + b"\x82\x86\x84")
    rude.writer.write(bytes([0, 0, 0, 9, 0, 0, 0, 0, 1]))


async def half_a_frame(rude: Rude) -> None:
    rude.protocol.ping(b"12345678")
    rude.writer.write(rude.protocol.data_to_send()[:-1])


async def half_a_frame_after_an_answer(rude: Rude) -> None:
    number = rude.begin()
    await rude.flush()
    assert (await rude.answer(number))[0] == 200
    await half_a_frame(rude)


@pytest.mark.parametrize(
    "dawdle", [says_nothing, headers_without_end, half_a_frame, half_a_frame_after_an_answer]
)
def test_who_sends_no_whole_request_has_the_time_of_headers(tmp_path: Path, dawdle: Any) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, clock):
            rude = await Rude.connect(server, tls)
            await dawdle(rude)
            await rude.writer.drain()
            taken_s = await sent_away_after(rude, server, clock)
            assert LIMITS.header_timeout_s <= taken_s < LIMITS.idle_timeout_s / 2

    asyncio.run(case())


def test_a_peer_without_a_preface_has_the_time_of_headers(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, clock):
            tls.set_alpn_protocols(["h2"])
            port = int(server.address.rpartition(":")[2])
            mute = Rude(*await asyncio.open_connection("localhost", port, ssl=tls))
            mute.protocol.initiate_connection()
            taken_s = await sent_away_after(mute, server, clock)
            assert LIMITS.header_timeout_s <= taken_s < LIMITS.idle_timeout_s / 2

    asyncio.run(case())


def test_a_body_in_slow_parts_has_the_time_of_bodies(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, clock):
            rude = await Rude.connect(server, tls)
            number = rude.begin(ends=False)
            rude.protocol.send_data(number, b"x" * 100, end_stream=True)
            whole = rude.protocol.data_to_send()
            rude.writer.write(whole[:-1])
            await rude.writer.drain()
            for _ in range(int(LIMITS.body_timeout_s) - 10):
                await asyncio.sleep(0)
                clock.advance(1)
                server.sweep()
            rude.writer.write(whole[-1:])
            assert await rude.answer(number) == (200, b"x" * 100)

    asyncio.run(case())


def test_an_answer_taken_by_drops_has_the_time_of_bodies(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path) as (server, tls, clock):
            rude = await Rude.connect(server, tls, INITIAL_WINDOW_SIZE=1)
            number = rude.begin("/?bytes=900")
            await rude.flush()
            began_s = clock.monotonic_s()
            while not any(isinstance(one, h2.events.StreamReset) for one in rude.events):
                assert clock.monotonic_s() < began_s + 10 * LIMITS.body_timeout_s
                rude.protocol.increment_flow_control_window(1, number)
                rude.protocol.ping(b"12345678")
                await rude.flush()
                await rude.until(lambda one: isinstance(one, h2.events.PingAckReceived))
                rude.events = [e for e in rude.events if isinstance(e, h2.events.StreamReset)]
                clock.advance(LIMITS.body_timeout_s / 4)
                server.sweep()

    asyncio.run(case())


def test_a_request_whose_body_does_not_come_keeps_no_place(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(tmp_path, connections=2) as (server, tls, _):
            holders = [await Rude.connect(server, tls) for _ in range(2)]
            for holder in holders:
                holder.begin(ends=False)
                holder.protocol.ping(b"12345678")
                await holder.flush()
                await holder.until(lambda one: isinstance(one, h2.events.PingAckReceived))
            polite = await Rude.connect(server, tls)
            number = polite.begin("/polite")
            await polite.flush()
            assert await polite.answer(number) == (200, b"GET /polite h")
            assert await holders[0].goodbye() is None

    asyncio.run(case())


def test_peers_that_left_hold_nothing_until_the_collector_comes(tmp_path: Path) -> None:
    def kept() -> int:
        return sum(type(thing) is h2.connection.H2Connection for thing in gc.get_objects())

    async def case() -> None:
        async with running(tmp_path) as (server, tls, _):
            rudes = [await Rude.connect(server, tls) for _ in range(3)]
            for rude in rudes:
                number = rude.begin("/a")
                await rude.flush()
                assert (await rude.answer(number))[0] == 200
            before = kept()
            for rude in rudes:
                rude.writer.transport.abort()
            for _ in range(1000):
                if server.connections:
                    await asyncio.sleep(1e-3)
            assert kept() == before - len(rudes)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(case())
    finally:
        gc.enable()


def test_bodies_that_were_left_make_room_for_others(tmp_path: Path) -> None:
    async def left(rude: Rude) -> int:
        """A stream with most of a body, more than the first window lets through."""
        number = rude.begin("/?bytes=3", ends=False)
        for _ in range(8):
            rude.protocol.send_data(number, b"x" * 12_000)
            rude.protocol.ping(b"12345678")
            await rude.flush()
            await rude.until(lambda one: isinstance(one, h2.events.PingAckReceived))
            rude.events.clear()
        return number

    async def case() -> None:
        async with running(tmp_path, held_bytes=150_000, body_bytes=100_000) as (server, tls, _):
            rudes = [await Rude.connect(server, tls) for _ in range(2)]
            first, second = [await left(rude) for rude in rudes]
            assert (await rudes[0].answer(first))[0] == 503
            rudes[1].protocol.end_stream(second)
            await rudes[1].flush()
            assert await rudes[1].answer(second) == (200, b"xxx")

    asyncio.run(case())
