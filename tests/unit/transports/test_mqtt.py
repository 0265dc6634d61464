import asyncio
import gc
import socket

import pytest

aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")

from edgewright.errors import InputError, TransportError  # noqa: E402
from edgewright.transports import mqtt  # noqa: E402


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("", "empty"),
        ("gym/C++", "holds '+'"),
        ("a#b", "holds '#'"),
        ("a\0b", "holds"),
        ("x" * 70_000, "longer than 65535 bytes"),
    ],
)
def test_a_topic_that_mqtt_cannot_carry_is_the_fault_of_the_message(topic: str, words: str) -> None:
    async def case() -> None:
        client = aiomqtt.Client("127.0.0.1", 1)
        await mqtt.publish_all(client, [("fine", b"x"), (topic, b"x")])

    with pytest.raises(InputError) as caught:
        asyncio.run(case())
    assert words in str(caught.value)


def test_a_line_that_is_cut_at_once_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x00")  # welcome
        writer.close()

    async def case() -> None:
        server = await asyncio.start_server(cut, "127.0.0.1", 0)
        broker = mqtt.parse_broker(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with server:
            for _ in range(3):
                with pytest.raises(TransportError):
                    async with mqtt.connected(broker, mqtt.Session()) as client:
                        await mqtt.subscribe(client, ("a",))

    asyncio.run(case())
    gc.collect()
    assert caplog.records == []


def test_a_connection_that_comes_about_after_nobody_wants_it_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def case(listener: socket.socket) -> None:
        broker = mqtt.parse_broker(f"mqtt://127.0.0.1:{listener.getsockname()[1]}")
        connecting = asyncio.create_task(_connect(broker))
        await asyncio.sleep(0.1)
        connecting.cancel()
        await asyncio.wait([connecting])
        listener.accept()[0].close()  # now there is room for the connection that waits for it

    async def _connect(broker: mqtt.Broker) -> None:
        async with mqtt.connected(broker, mqtt.Session()):
            pytest.fail("there was no room")

    with socket.socket() as listener, socket.socket() as other:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        other.connect(listener.getsockname())
        asyncio.run(case(listener))
    gc.collect()
    assert caplog.records == []
