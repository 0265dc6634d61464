"""An observed CoAP resource, on a server that ends and comes back."""

import asyncio
import socket

import pytest

from edgewright.device.streams.forward import Message
from edgewright.errors import InputError, TransportError

aiocoap = pytest.importorskip("aiocoap", reason="absent: aiocoap (extra coap)")
resource = pytest.importorskip("aiocoap.resource")
coap_feed = pytest.importorskip("edgewright.device.streams.coap_feed")

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1", "::ffff:127.0.0.1"])


class Told(resource.ObservableResource):  # type: ignore[misc,name-defined]  # untyped
    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self.payload = payload

    async def render_get(self, _: "aiocoap.Message") -> "aiocoap.Message":
        return aiocoap.Message(payload=self.payload, max_age=0)


async def serving(told: Told, port: int) -> "aiocoap.Context":
    site = resource.Site()
    site.add_resource(["imu"], told)
    return await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port), transports=["udp6"]
    )


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.timeout(30)
def test_a_server_that_was_started_again_is_asked_anew(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coap_feed, "_LATE_S", 0.2)

    async def case() -> list[Message]:
        feed = coap_feed.CoapFeed(f"coap://127.0.0.1:{port}/imu")
        heard: list[Message] = []
        enough = asyncio.Event()

        async def hear() -> None:
            async for batch in feed.batches():
                heard.extend(batch)
                enough.set()

        server = await serving(Told(b"one"), port)
        async with asyncio.timeout(20):
            listening = asyncio.create_task(hear())
            await enough.wait()
            await asyncio.sleep(0.5)  # it is asked for anew meanwhile, and tells nothing new
            await server.shutdown()
            enough.clear()
            server = await serving(Told(b"two"), port)
            await enough.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await server.shutdown()
        return heard

    assert [message.payload for message in asyncio.run(case())] == [b"one", b"two"]


def test_what_cannot_be_observed_is_refused(port: int) -> None:
    async def case() -> None:
        server = await serving(Told(b"one"), port)
        try:
            async for _ in coap_feed.CoapFeed(f"coap://127.0.0.1:{port}/nothing").batches():
                pytest.fail("there is nothing")
        finally:
            await server.shutdown()

    with pytest.raises(TransportError, match=r"4\.04"):
        asyncio.run(case())


@pytest.mark.timeout(30)
def test_a_resource_that_is_deleted_gives_no_sample_of_nothing(port: int) -> None:
    heard: list[bytes] = []

    async def case() -> None:
        told = Told(b"one")
        server = await serving(told, port)
        try:
            async for batch in coap_feed.CoapFeed(f"coap://127.0.0.1:{port}/imu").batches():
                heard.extend(message.payload for message in batch)
                told.updated_state(aiocoap.Message(code=aiocoap.NOT_FOUND))
        finally:
            await server.shutdown()

    with pytest.raises(TransportError, match=r"4\.04"):
        asyncio.run(case())
    assert heard == [b"one"]


@pytest.mark.parametrize("url", ["http://x/y", "coap://", "coap://x:99999/y", "coap://x:a/y", "x"])
def test_what_is_no_resource_is_refused_before_anything_runs(url: str) -> None:
    with pytest.raises(InputError, match="no CoAP resource"):
        coap_feed.CoapFeed(url)
