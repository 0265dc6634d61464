"""A fleet and its devices with a real RabbitMQ between them that nobody trusts."""

import asyncio
import time
from collections.abc import Iterator

import msgspec
import pytest
from tests.brokers import running_rabbitmq
from tests.fleet_lines import LinePlace, health, is_up, line_over, living_on

from edgewright.device.agent import DeviceCertificate
from edgewright.device.agent.broker_link import BrokerWay
from edgewright.device.agent.hint_line import HintLine, signed_batch
from edgewright.wire import broker as wire

pytest.importorskip("aio_pika", reason="absent: aio_pika (extra amqp)")
amqp = pytest.importorskip("edgewright.transports.amqp")

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

NAME = "press.7"
"""A dot would be two words to AMQP."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinePlace]:
    folder = tmp_path_factory.mktemp("amqp")
    with (
        running_rabbitmq(folder) as broker,
        LinePlace(folder).serving("--amqp", broker.url) as made,
    ):
        made.broker = broker
        yield made


def link_of(place: LinePlace, name: str) -> HintLine:
    host = amqp.parse_host(place.broker.url)
    return line_over(BrokerWay(name, lambda: amqp.opened(host, wire.EXCHANGE)), place, name)


def test_hints_and_telemetry_go_over_the_broker_and_come_back_after_a_cut(
    place: LinePlace,
) -> None:
    place.enrol(NAME)

    async def case() -> None:
        link = link_of(place, NAME)
        async with living_on(place, NAME, link) as (client, fleet):
            await is_up(link)
            etag, _ = await fleet.desired(etag="", wait_s=0.5)  # type: ignore[misc]
            asked = asyncio.create_task(fleet.desired(etag=etag, wait_s=60))
            await asyncio.sleep(0.5)
            start_s = time.monotonic()
            await asyncio.to_thread(place.order, "tiny@1", NAME)
            answer = await asyncio.wait_for(asked, timeout=20)
            assert answer is not None
            assert [model.version for model in answer[1].models] == ["1"]
            assert time.monotonic() - start_s < 15
            for batch in ((1, 2), (2, 3)):
                await fleet.send(health(NAME, *batch))
            assert (client.sent, set(client.waits)) == (0, {0})

            await asyncio.to_thread(place.broker.cut_connections)
            await is_up(link, wanted=False)
            await fleet.send(health(NAME, 4))
            assert client.sent == 1
            await is_up(link)
            async with asyncio.timeout(60):
                number = 5
                while client.sent != 1 or number == 5:
                    client.sent = 1  # until the fleet's own line is back it goes over HTTP
                    await fleet.send(health(NAME, number))
                    number += 1

    asyncio.run(case())
    kept = place.kept(NAME)
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= 5


def test_a_message_that_was_caught_is_refused_once_there_is_a_newer_one(place: LinePlace) -> None:
    place.enrol("caught")
    own = DeviceCertificate(place.folder / "caught")
    old, new = (signed_batch(own, "caught", f"m{n}", health("caught", n)) for n in (1, 2))
    statuses: list[int] = []

    async def case() -> None:
        host = amqp.parse_host(place.broker.url)
        sent = [old, new, old, new]
        async with amqp.opened(host, wire.EXCHANGE) as line, asyncio.timeout(60):
            await line.listen((wire.answer_topic("caught"),))
            await line.publish([(wire.telemetry_topic("caught"), one) for one in sent])
            async for messages, acknowledge in line.received():
                statuses.extend(
                    msgspec.json.decode(payload, type=wire.BatchAnswer).status
                    for _, payload in messages
                )
                await acknowledge()
                if len(statuses) == len(sent):
                    break

    asyncio.run(case())
    assert statuses == [200, 200, 409, 200]
    assert place.kept("caught") == [1, 2]


def test_a_batch_that_another_signed_is_refused(place: LinePlace) -> None:
    for name in ("victim", "evil"):
        place.enrol(name)
    evil = DeviceCertificate(place.folder / "evil")
    forged = signed_batch(evil, "victim", "m1", health("victim", 1))
    answers: list[bytes] = []

    async def case() -> None:
        host = amqp.parse_host(place.broker.url)
        async with amqp.opened(host, wire.EXCHANGE) as line, asyncio.timeout(60):
            await line.listen((wire.answer_topic("victim"),))
            await line.publish([(wire.telemetry_topic("victim"), forged)])
            async for messages, acknowledge in line.received():
                answers.extend(payload for _, payload in messages)
                await acknowledge()
                break

    asyncio.run(case())
    assert b'"status":403' in answers[0]
    assert place.kept("victim") == []
