"""A stream from and to a real RabbitMQ that cuts the line."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.brokers import RabbitMq, running_rabbitmq
from tests.streams import stop, streaming, updown_bundle

aio_pika = pytest.importorskip("aio_pika", reason="absent: aio-pika (extra amqp)")

pytestmark = pytest.mark.long


@contextlib.asynccontextmanager
async def channel_of(broker: RabbitMq) -> AsyncIterator[Any]:
    connection = await aio_pika.connect(broker.url, timeout=20)
    async with connection:
        yield await connection.channel()


async def send(broker: RabbitMq, level: float, *, first: int, count: int) -> None:
    async with channel_of(broker) as channel:
        for n in range(first, first + count):
            body = json.dumps({"t": n / 20, "ax": level}).encode()
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key="imu")


async def make_queues(broker: RabbitMq) -> None:
    async with channel_of(broker) as channel:
        for name in ("imu", "results", "from down"):
            await channel.declare_queue(name, durable=True)


async def delete_queue(broker: RabbitMq) -> None:
    async with channel_of(broker) as channel:
        await channel.queue_delete("imu")


async def take(broker: RabbitMq, count: int) -> list[dict[str, object]]:
    found = []
    async with channel_of(broker) as channel:
        queue = await channel.declare_queue("results", durable=True)
        async with queue.iterator() as messages:
            async for message in messages:
                found.append(json.loads(message.body))
                await message.ack()
                if len(found) == count:
                    break
    return found


@pytest.mark.timeout(300)
def test_results_go_through_rabbitmq_whose_connections_are_cut(tmp_path: Path) -> None:
    bundle = updown_bundle(tmp_path)
    with running_rabbitmq(tmp_path) as broker:
        (tmp_path / "imu.csv").write_text("t,ax\n" + "".join(f"{n / 20},1\n" for n in range(40)))
        file = tmp_path / "nobody.toml"
        file.write_text(f"""
[[stream]]
model = "{bundle}"
source = {{kind = "file", path = "imu.csv"}}
sinks = [{{kind = "amqp", broker = "{broker.url}", routing = "nobody"}}]
""")
        with streaming(file) as process:
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 4, stderr
        assert "nobody takes messages of 'nobody'" in stderr

        asyncio.run(make_queues(broker))
        # Nobody takes the first of these keys, and that holds up nobody else's messages.
        (tmp_path / "imu.csv").write_text(
            "t,ax\n" + "".join(f"{n / 20},{1 if n < 20 else -1}\n" for n in range(60))
        )
        file.write_text(
            file.read_text()
            .replace('"nobody"', '"from {state}"')
            .replace("source =", "hop = 20\nrule = {confirm = 1, release = 1}\nsource =")
        )
        with streaming(file) as process:
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 4, stderr
        assert "1 of 3 messages were not delivered" in stderr
        assert "nobody takes messages of 'from up'" in stderr
        file = tmp_path / "amqp.toml"
        file.write_text(f"""
patience_s = 30

[[stream]]
model = "{bundle}"
hop = 10
rule = {{confirm = 1}}
source = {{kind = "amqp", broker = "{broker.url}", queue = "imu", time = "t"}}

[[stream.sinks]]
kind = "amqp"
broker = "{broker.url}"
routing = "results"
queue = {{folder = "queue", key_file = "queue.key"}}
""")
        with streaming(file, "--json") as process:
            asyncio.run(send(broker, 1.0, first=0, count=20))
            before = asyncio.run(asyncio.wait_for(take(broker, 2), 60))
            broker.cut_connections()
            asyncio.run(send(broker, -1.0, first=20, count=20))
            after = asyncio.run(asyncio.wait_for(take(broker, 2), 90))
            asyncio.run(delete_queue(broker))
            assert process.stderr is not None
            said = iter(process.stderr.readline, "")
            assert any("no longer delivers queue 'imu'" in line for line in said)
            asyncio.run(make_queues(broker))
            asyncio.run(send(broker, 1.0, first=40, count=20))
            anew = asyncio.run(asyncio.wait_for(take(broker, 2), 90))
            stdout, stderr = stop(process)
    assert process.returncode == 0, stderr
    assert [each["state"] for each in anew] == ["up", "up"]
    assert [each["state"] for each in before] == ["up", "up"]
    assert [each["state"] for each in after] == ["down", "down"]
    assert json.loads(stdout)["streams"][0]["samples"]["samples"] == 60
    assert "it is back" in stderr
