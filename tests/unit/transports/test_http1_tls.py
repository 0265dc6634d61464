import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from edgewright.clock import SystemClock
from edgewright.errors import ResourceError, TransportError
from edgewright.testing import FakeClock
from edgewright.testing.tls import certificate
from edgewright.transports.http1 import Client, Limits, Request, Response, Server, start_server


async def tell(request: Request) -> Response:
    return Response(status=200, body=request.client_certificate, headers={"x-peer": request.peer})


@pytest.mark.parametrize("has_certificate", [False, True])
def test_a_handler_sees_the_certificate_that_the_peer_proved(
    tmp_path: Path, has_certificate: bool
) -> None:
    path, der = certificate(tmp_path)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(path)
    listening.load_verify_locations(path)
    listening.verify_mode = ssl.CERT_OPTIONAL
    asking = ssl.create_default_context(cafile=str(path))
    if has_certificate:
        asking.load_cert_chain(path)

    async def story() -> tuple[str, bytes, list[Response]]:
        server = await start_server(tell, clock=SystemClock(), tls=listening)
        address = server.address.replace("127.0.0.1", "localhost")
        async with Client(address, tls=asking) as client:
            answers = [await client.request("GET", "/") for _ in range(3)]
            closing = await client.request("GET", "/", headers={"connection": "close"})
        async with Client(address.replace("https", "http"), timeout_s=5) as plain:
            with pytest.raises(TransportError):
                await plain.request("GET", "/")
        await server.close()
        return server.address, der if has_certificate else b"", [*answers, closing]

    address, expected, answers = asyncio.run(story())
    assert address.startswith("https://")
    assert [answer.body for answer in answers] == [expected] * 4


def listening(folder: Path) -> ssl.SSLContext:
    path, _ = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


OPENED: list[socket.socket] = []
"""Peers of the test at hand, closed at its end."""


@pytest.fixture(autouse=True)
def close_opened() -> Iterator[None]:
    yield
    for peer in OPENED:
        peer.close()
    OPENED.clear()


async def silent(server: Server, count: int) -> list[socket.socket]:
    """Peers that connect and say nothing."""
    port = int(server.address.rpartition(":")[2])
    for _ in range(count):
        OPENED.append(socket.create_connection(("127.0.0.1", port)))
        await asyncio.sleep(0)
    return OPENED[-count:]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(1e-3)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: Any) -> Iterator[Any]:
    """Runs a story on each kind of event loop."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


def test_silent_peers_over_tls_make_room_for_who_comes_later(run: Any, tmp_path: Path) -> None:
    listens = listening(tmp_path)
    tls = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))

    async def story() -> None:
        server = await start_server(
            tell, clock=SystemClock(), limits=Limits(connections=9), tls=listens
        )
        port = int(server.address.rpartition(":")[2])
        peers = await silent(server, HANDSHAKES + 50)
        await until(lambda: server.handshakes == HANDSHAKES)
        for peer in peers[:20]:
            peer.settimeout(5)
            assert await asyncio.to_thread(hears_nothing, peer)
        async with Client(f"https://localhost:{port}", tls=tls) as client:
            assert (await client.request("GET", "/")).status == 200
            assert server.connections == 1
        assert server.handshakes <= HANDSHAKES
        await server.close(drain_s=1)
        assert server.handshakes == 0

    run(story())


HANDSHAKES = 256


def hears_nothing(peer: socket.socket) -> bool:
    """Whether it was let go of."""
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_renewed_certificate_is_shown_to_who_comes_then(run: Any, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    first, second = listening(tmp_path), listening(tmp_path / "new")

    async def story() -> list[int]:
        server = await start_server(tell, clock=SystemClock(), tls=first)
        address = server.address.replace("127.0.0.1", "localhost")
        believes = [
            ssl.create_default_context(cafile=str(folder / "both.pem"))
            for folder in (tmp_path, tmp_path / "new")
        ]
        async with Client(address, tls=believes[0]) as early:
            statuses = [(await early.request("GET", "/")).status]
            server.renew_tls(second)
            async with Client(address, tls=believes[1]) as late:
                statuses.append((await late.request("GET", "/")).status)
            statuses.append((await early.request("GET", "/")).status)
        async with Client(address, tls=believes[0]) as late:
            with pytest.raises(TransportError):
                await late.request("GET", "/")
        await server.close()
        return statuses

    assert run(story()) == [200, 200, 200]


def test_a_handshake_has_the_time_of_headers(run: Any, tmp_path: Path) -> None:
    async def story() -> None:
        server = await start_server(
            tell,
            clock=SystemClock(),
            limits=Limits(header_timeout_s=0.2),
            tls=listening(tmp_path),
        )
        await silent(server, 3)
        await until(lambda: server.handshakes == 3)
        await until(lambda: server.handshakes == 0)
        await server.close(drain_s=0)

    run(story())


def test_memory_is_given_back_after_those_left_who_never_finished_their_handshake(
    tmp_path: Path,
) -> None:
    given_back: list[int] = []

    async def story() -> None:
        clock = FakeClock()
        server = Server(
            lambda *_: None,
            limits=Limits(),
            clock=clock,
            trim=lambda: given_back.append(server.handshakes),
        )
        await server.listen(host=None, port=None, uds=None, tls=listening(tmp_path))
        peers = await silent(server, 600)
        await until(lambda: server.handshakes == 600)
        server.sweep()
        assert given_back == []
        for peer in peers:
            peer.close()
        await until(lambda: server.handshakes == 0)
        server.sweep()
        await server.close(drain_s=0)

    asyncio.run(story())
    assert given_back == [0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_without_the_demanded_certificate_hears_why(
    run: Any, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    listens = listening(tmp_path)
    listens.load_verify_locations(tmp_path / "both.pem")
    listens.verify_mode = ssl.CERT_REQUIRED
    tls = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
    tls.minimum_version = tls.maximum_version = version

    def ask(port: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port), 5)
        OPENED.append(plain)
        with tls.wrap_socket(plain, server_hostname="localhost") as peer:
            peer.recv(1)

    async def story() -> None:
        server = await start_server(tell, clock=SystemClock(), tls=listens)
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(ssl.SSLError, match="alert"):
            await asyncio.to_thread(ask, port)
        await until(lambda: server.handshakes == 0)
        await server.close(drain_s=0)

    run(story())


def test_a_peer_that_speaks_no_tls_is_let_go_of_at_once(run: Any, tmp_path: Path) -> None:
    async def story() -> None:
        server = await start_server(tell, clock=SystemClock(), tls=listening(tmp_path))
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"garbage\r\n"):
            (peer,) = await silent(server, 1)
            peer.settimeout(5)
            peer.sendall(said)
            assert await asyncio.to_thread(hears_nothing, peer)
        await server.close(drain_s=0)

    run(story())


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_host_that_nobody_knows_is_said_in_words(
    run: Any, tmp_path: Path, *, with_tls: bool
) -> None:
    async def story() -> None:
        tls = listening(tmp_path) if with_tls else None
        with pytest.raises(ResourceError, match=r"listening on no\.invalid:0: \D+; check"):
            await start_server(tell, host="no.invalid", clock=SystemClock(), tls=tls)

    run(story())
