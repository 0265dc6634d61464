"""A fleet and its devices with a real broker between them that nobody trusts."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.brokers import Mosquitto, running_mosquitto
from tests.fleet_lines import CountingClient, LinePlace, health, is_up, line_over, living_on

from edgewright.chain.agent import status
from edgewright.chain.fleet import open_fleet
from edgewright.device.agent import DeviceCertificate
from edgewright.device.agent.broker_link import BrokerWay
from edgewright.device.agent.hint_line import HintLine, WokenFleet
from edgewright.fleet.audit import read_audit
from edgewright.telemetry import Record, encode_batch
from edgewright.testing.bundles import MODEL
from edgewright.wire import broker as wire

aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")
mqtt = pytest.importorskip("edgewright.transports.mqtt")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinePlace]:
    folder = tmp_path_factory.mktemp("mqtt")
    with (
        running_mosquitto(folder) as broker,
        LinePlace(folder).serving("--mqtt", broker.url) as made,
    ):
        made.broker = broker
        yield made


@contextlib.asynccontextmanager
async def device(
    place: LinePlace, name: str, *, broker: str = ""
) -> AsyncIterator[tuple[CountingClient, WokenFleet, HintLine]]:
    address = mqtt.parse_broker(broker or place.broker.url)
    link = line_over(BrokerWay(name, lambda: mqtt.opened(address)), place, name)
    async with living_on(place, name, link) as (client, fleet):
        yield client, fleet, link


def test_a_device_is_woken_and_holds_no_poll_open(place: LinePlace) -> None:
    place.enrol("woken")

    async def case() -> None:
        async with device(place, "woken") as (client, fleet, link):
            await is_up(link)
            etag, nothing = await fleet.desired(etag="", wait_s=0.5)  # type: ignore[misc]
            assert nothing.models == ()
            asked = asyncio.create_task(fleet.desired(etag=etag, wait_s=60))
            await asyncio.sleep(0.5)
            start_s = time.monotonic()
            await asyncio.to_thread(place.order, "tiny@1", "woken")
            answer = await asyncio.wait_for(asked, timeout=20)
            assert answer is not None
            assert [model.version for model in answer[1].models] == ["1"]
            assert time.monotonic() - start_s < 15
            assert set(client.waits) == {0}

    asyncio.run(case())


def test_telemetry_over_the_broker_is_kept_once_and_in_order(place: LinePlace) -> None:
    place.enrol("teller")

    async def case() -> None:
        async with device(place, "teller") as (client, fleet, link):
            await is_up(link)
            for batch in ((1, 2), (2, 3), (1, 2, 3), (4,)):
                await fleet.send(health("teller", *batch))
            assert client.sent == 0
            await client.send(health("teller", 3, 4, 5))

    asyncio.run(case())
    assert place.kept("teller") == [1, 2, 3, 4, 5]


def test_without_its_broker_a_device_polls_and_tells_as_ever(
    place: LinePlace, tmp_path: Path
) -> None:
    place.enrol("alone")
    broker = Mosquitto(tmp_path)

    async def case() -> None:
        async with device(place, "alone", broker=broker.url) as (client, fleet, link):
            etag, _ = await fleet.desired(etag="", wait_s=20)  # type: ignore[misc]
            await fleet.send(health("alone", 1))
            assert (client.sent, link.is_up) == (1, False)
            asked = asyncio.create_task(fleet.desired(etag=etag, wait_s=20))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(place.order, "tiny@2", "alone")
            answer = await asyncio.wait_for(asked, timeout=20)
            assert answer is not None
            assert max(client.waits) > 1
            await asyncio.to_thread(broker.start)
            await is_up(link)
            asked = asyncio.create_task(fleet.desired(etag=answer[0], wait_s=10))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(broker.stop)
            await is_up(link, wanted=False)
            await asyncio.to_thread(place.order, "more@3", "alone")
            answer = await asyncio.wait_for(asked, timeout=20)
            assert answer is not None
            assert {model.model for model in answer[1].models} == {"tiny", "more"}

    try:
        asyncio.run(case())
    finally:
        broker.stop()


def test_what_the_broker_or_another_device_makes_up_is_refused_and_written_down(
    place: LinePlace,
) -> None:
    for name in ("victim", "evil", "gone"):
        place.enrol(name)
    with open_fleet(place.home) as office:
        office.devices.revoke("gone", by="test")
    certificates = {
        name: DeviceCertificate(place.folder / name) for name in ("victim", "evil", "gone")
    }

    def signed(signer: str, claims: str, records: tuple[Record, ...]) -> wire.SignedBatch:
        batch = encode_batch(records)
        der, signature = certificates[signer].sign(wire.signed_content(claims, "m1", batch))
        return wire.SignedBatch(id="m1", certificate=der, signature=signature, batch=batch)

    good = signed("victim", "victim", health("victim", 1))
    other = signed("evil", "victim", health("victim", 1))
    attacks = {
        "no JSON": ("victim", b"nonsense"),
        "another's certificate": ("victim", msgspec.json.encode(other)),
        "a certificate without its key": (
            "victim",
            msgspec.json.encode(msgspec.structs.replace(other, certificate=good.certificate)),
        ),
        "a changed batch": (
            "victim",
            msgspec.json.encode(
                msgspec.structs.replace(good, batch=encode_batch(health("victim", 9)))
            ),
        ),
        "another's topic": ("evil", msgspec.json.encode(good)),
        "a record of somebody else": (
            "evil",
            msgspec.json.encode(signed("evil", "evil", health("victim", 1))),
        ),
        "revoked": ("gone", msgspec.json.encode(signed("gone", "gone", health("gone", 1)))),
        "no certificate": (
            "victim",
            msgspec.json.encode(msgspec.structs.replace(good, certificate=b"x")),
        ),
    }

    async def case() -> None:
        async with aiomqtt.Client("127.0.0.1", place.broker.port) as client:
            await client.subscribe(f"{wire.ROOT}/+/answer", qos=1)
            for target, payload in attacks.values():
                await client.publish(wire.telemetry_topic(target), payload, qos=1)
            statuses = []
            async with asyncio.timeout(20):
                async for message in client.messages:
                    statuses.append(json.loads(message.payload)["status"])
                    if len(statuses) == len(attacks) - 1:
                        break
            assert set(statuses) == {403}
            await client.publish(wire.telemetry_topic("victim"), msgspec.json.encode(good), qos=1)
            async with asyncio.timeout(20):
                answer = json.loads((await anext(client.messages)).payload)
            assert (answer["status"], answer["stored"]) == (200, 1)
            newer = signed("victim", "victim", health("victim", 2))
            for caught, status in ((newer, 200), (good, 409), (newer, 200)):
                payload = msgspec.json.encode(caught)
                await client.publish(wire.telemetry_topic("victim"), payload, qos=1)
                async with asyncio.timeout(20):
                    assert json.loads((await anext(client.messages)).payload)["status"] == status

    asyncio.run(case())
    assert place.kept("victim") == [1, 2]
    assert place.kept("evil") == place.kept("gone") == []
    with open_fleet(place.home) as office:
        written = {entry.subject for entry in read_audit(office.state, newest=1000)}
    assert {"400 MQTT /telemetry/victim", "403 MQTT /telemetry/victim",
            "409 MQTT /telemetry/victim", "403 MQTT /telemetry/evil",
            "403 MQTT /telemetry/gone"} <= written  # fmt: skip


def test_a_real_agent_takes_a_release_that_the_broker_woke_it_for(place: LinePlace) -> None:
    place.enrol("agent")
    home = place.folder / "agent"
    (home / "agent.toml").write_text(
        'serve_http = "127.0.0.1:0"\nprobation_s = 0.2\npoll_s = 300\n'
        f'mqtt = "{place.broker.url}"\n'
    )
    log = (place.folder / "agent.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewright", "agent", "run", "--home", str(home)],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        place.order(f"{MODEL}@7", "agent")
        deadline = time.monotonic() + 60
        while [m.version for m in status(home).models if m.state == "idle" and m.version] != ["7"]:
            assert time.monotonic() < deadline, (place.folder / "agent.log").read_text()
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(30)
        log.close()
    with open_fleet(place.home) as office:
        (model,) = office.devices.show("agent").models
    assert model.running_version == "7"


def test_a_broker_that_is_none_is_refused(place: LinePlace, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "fleet", "serve", "--home", str(tmp_path / "h"),
         "--mqtt", "http://127.0.0.1:1"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"broker" in done.stderr
