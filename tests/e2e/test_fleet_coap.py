"""A fleet whose devices are woken and tell over its own CoAP server."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
import pytest
from tests.fleet_lines import LinePlace, health, is_up, line_over, living_on

from edgewright.chain.fleet import trust
from edgewright.chain.processes import free_port
from edgewright.device.agent import DeviceCertificate
from edgewright.device.agent.hint_line import HintLine, signed_batch
from edgewright.errors import InputError
from edgewright.wire import broker as wire

aiocoap = pytest.importorskip("aiocoap", reason="absent: aiocoap (extra coap)")
coap_link = pytest.importorskip("edgewright.device.agent.coap_link")

# The library's sockets speak IPv6 and name IPv4 addresses in it.
LOOPBACK = ["127.0.0.1", "::1", "::ffff:127.0.0.1"]
pytestmark = [pytest.mark.timeout(120), pytest.mark.allow_hosts(LOOPBACK)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinePlace]:
    address = f"127.0.0.1:{free_port()}"
    with LinePlace(tmp_path_factory.mktemp("coap")).serving("--coap", address) as made:
        made.broker = f"coap://{address}"
        yield made


def link_of(place: LinePlace, name: str, *, observe_s: float = 60.0) -> HintLine:
    way = coap_link.CoapWay(name, place.broker, observe_s=observe_s)
    return line_over(way, place, name)


def test_a_device_is_woken_and_holds_no_poll_open(place: LinePlace) -> None:
    place.enrol("woken")

    async def case() -> None:
        link = link_of(place, "woken", observe_s=0.4)
        async with living_on(place, "woken", link) as (client, fleet):
            await is_up(link)
            etag, nothing = await fleet.desired(etag="", wait_s=0.5)  # type: ignore[misc]
            assert nothing.models == ()
            asked = asyncio.create_task(fleet.desired(etag=etag, wait_s=60))
            await asyncio.sleep(1.0)  # the hints are asked for anew meanwhile
            start_s = time.monotonic()
            await asyncio.to_thread(place.order, "tiny@1", "woken")
            answer = await asyncio.wait_for(asked, timeout=20)
            assert answer is not None
            assert [model.version for model in answer[1].models] == ["1"]
            assert time.monotonic() - start_s < 15
            assert set(client.waits) == {0}

    asyncio.run(case())


def test_telemetry_is_kept_once_and_in_order_also_a_batch_of_many_blocks(
    place: LinePlace,
) -> None:
    place.enrol("teller")

    async def case() -> None:
        link = link_of(place, "teller")
        async with living_on(place, "teller", link) as (client, fleet):
            await is_up(link)
            for batch in ((1, 2), (2, 3), tuple(range(1, 60))):
                await fleet.send(health("teller", *batch))
            assert client.sent == 0

    asyncio.run(case())
    assert place.kept("teller") == list(range(1, 60))


def test_what_another_makes_up_is_refused(place: LinePlace) -> None:
    for name in ("victim", "evil"):
        place.enrol(name)
    evil = DeviceCertificate(place.folder / "evil")
    forged = signed_batch(evil, "victim", "m1", health("victim", 1))
    topic = wire.telemetry_topic("victim")

    async def case() -> list[tuple[str, bytes]]:
        context = await aiocoap.Context.create_client_context()
        answers = []
        for code, path, payload in (
            (aiocoap.POST, topic, forged),
            (aiocoap.POST, topic, b"nonsense"),
            (aiocoap.POST, f"{wire.ROOT}/a/b/telemetry", forged),
            (aiocoap.POST, wire.wake_topic("victim"), forged),
            (aiocoap.GET, topic, b""),
            (aiocoap.PUT, topic, forged),
        ):
            uri = f"{place.broker}/{path}"
            message = aiocoap.Message(code=code, uri=uri, payload=payload)
            answer = await asyncio.wait_for(context.request(message).response, timeout=20)
            answers.append((str(answer.code), answer.payload))
        await context.shutdown()
        return answers

    (code, told), *refused = asyncio.run(case())
    assert (code, msgspec.json.decode(told)["status"]) == ("2.04 Changed", 403)
    assert [code[:4] for code, _ in refused] == ["4.00", "4.04", "4.04", "4.04", "4.05"]
    assert place.kept("victim") == []


def test_a_message_that_was_caught_is_refused_once_there_is_a_newer_one(place: LinePlace) -> None:
    place.enrol("caught")
    own = DeviceCertificate(place.folder / "caught")
    old, new = (signed_batch(own, "caught", f"m{n}", health("caught", n)) for n in (1, 2))
    uri = f"{place.broker}/{wire.telemetry_topic('caught')}"

    async def case() -> list[int]:
        statuses = []
        for payload in (old, new, old, new):
            context = await aiocoap.Context.create_client_context()
            message = aiocoap.Message(code=aiocoap.POST, uri=uri, payload=payload)
            answer = await asyncio.wait_for(context.request(message).response, timeout=20)
            statuses.append(msgspec.json.decode(answer.payload, type=wire.BatchAnswer).status)
            await context.shutdown()
        return statuses

    assert asyncio.run(case()) == [200, 200, 409, 200]
    assert place.kept("caught") == [1, 2]


def test_strangers_who_begin_requests_and_end_none_keep_no_device_out(place: LinePlace) -> None:
    place.enrol("patient")
    uri = f"{place.broker}/{wire.telemetry_topic('nobody')}"

    async def begun(context: "aiocoap.Context", number: int) -> str:
        message = aiocoap.Message(code=aiocoap.POST, uri=uri, payload=b"x" * 64)
        message.opt.block1 = (number, True, 2)
        answer = context.request(message, handle_blockwise=False).response
        return str((await asyncio.wait_for(answer, timeout=20)).code)[:4]

    async def case() -> None:
        contexts = [await aiocoap.Context.create_client_context() for _ in range(80)]
        try:
            for context in contexts:
                assert await begun(context, 0) == "2.31"
            assert await begun(contexts[-1], 1) == "2.31"
            assert await begun(contexts[0], 1) == "4.08"  # it gave way
            link = link_of(place, "patient")
            async with living_on(place, "patient", link) as (client, fleet):
                await is_up(link)
                await fleet.send(health("patient", *range(1, 60)))
                assert client.sent == 0
        finally:
            for context in contexts:
                await context.shutdown()

    asyncio.run(case())
    assert place.kept("patient") == list(range(1, 60))


def test_an_observer_that_is_gone_makes_the_fleet_deaf_to_no_other(place: LinePlace) -> None:
    for name in ("gone", "here"):
        place.enrol(name)

    async def case() -> None:
        leaving = await aiocoap.Context.create_client_context()
        uri = f"{place.broker}/{wire.wake_topic('gone')}"
        request = leaving.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        assert (await request.response).opt.observe is not None
        await leaving.shutdown()  # nobody has its port now: the kernel says so to who sends there
        await asyncio.to_thread(place.order, "tiny@2", "gone")
        await asyncio.sleep(0.5)
        link = link_of(place, "here")
        async with living_on(place, "here", link):
            await is_up(link)

    asyncio.run(case())


def test_an_address_that_is_taken_is_not_shared(place: LinePlace) -> None:
    home = place.folder / "second"
    trust(home, [place.folder / "key.pub"], threshold=1, by="test")
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "fleet", "serve", "--home", str(home), "--listen",
         "127.0.0.1:0", "--devices", "127.0.0.1:0", "--coap", place.broker.removeprefix("coap://")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Address already in use" in done.stderr


def test_without_its_fleets_coap_a_device_polls_and_tells_as_ever(place: LinePlace) -> None:
    place.enrol("alone")

    async def case() -> None:
        way = coap_link.CoapWay("alone", f"coap://127.0.0.1:{free_port()}")
        link = line_over(way, place, "alone")
        async with living_on(place, "alone", link) as (client, fleet):
            assert await fleet.desired(etag="", wait_s=5) is not None
            await fleet.send(health("alone", 1))
            assert (client.sent, link.is_up) == (1, False)

    asyncio.run(case())


@pytest.mark.parametrize("url", ["coaps://h", "coap://", "coap://u@h", "coap://h/path", "h"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no address of CoAP"):
        coap_link.checked(url)
