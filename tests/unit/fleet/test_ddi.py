import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from edgewright.fleet.audit import read_audit
from edgewright.fleet.device_api import DeviceApi
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.state import schema
from edgewright.fleet.swu import SwuOrder
from edgewright.testing import FakeClock
from edgewright.testing.fleet import release_file
from edgewright.transports.http1 import Request, Response

BASE = "/default/controller/v1/swu1"


class Device:
    """SWUpdate's requests, without SWUpdate."""

    def __init__(self, office: Office, writer: ThreadPoolExecutor) -> None:
        self.office, self.presence = office, Presence()
        self._handler = DeviceApi(
            Desk(
                state=office.state,
                registry=office.registry,
                enrolments=office.enrolments,
                presence=self.presence,
                clock=office.clock,
                trusted=office.trusted,
                writer=writer,
                refusals=office.refusals,
            )
        )
        token = office.devices.create_token(TokenOrder(), by="ada").token
        self.secret = office.devices.enrol(token, "swu1", {})

    def ask(
        self, path: str, method: str = "GET", *, body: bytes = b"", secret: str = "", **more: str
    ) -> Response:
        headers = {"host": "fleet:1", "authorization": f"TargetToken {secret or self.secret}"}
        request = Request(method=method, path=path, headers=headers | more, body=body)
        return asyncio.run(self._handler(request))

    def json(self, path: str) -> Any:
        return msgspec.json.decode(self.ask(path).body)

    def tick(self) -> None:
        here, acknowledged = self.presence.take_news()
        self.office.rollouts.tick(here=here, acknowledged=acknowledged)

    def tell(self, execution: str, finished: str, *, action: int = 1, status: int = 200) -> None:
        text = (
            f'{{"id":1,"status":{{"execution":"{execution}","result":{{"finished":"{finished}"}},'
        )
        body = (text + '"details":["why"]}}').encode()
        path = f"{BASE}/deploymentBase/{action}/feedback"
        assert self.ask(path, "POST", body=body).status == status
        self.tick()

    @property
    def standing(self) -> str:
        (member,) = self.office.rollouts.status(1).members
        return member.standing


@pytest.fixture
def device(office: Office, tmp_path: Path) -> Iterator[Device]:
    release_file(tmp_path / "1.ewb", version="1")
    release = office.registry.publish(tmp_path / "1.ewb", by="ada")
    office.registry.wrap(release.text, SwuOrder(), by="test")
    with ThreadPoolExecutor(max_workers=1) as writer:
        made = Device(office, writer)
        assert list(made.json(BASE)["_links"]) == ["configData"]
        order = RolloutOrder(release="tiny@1", waves="100%", limits=Limits(soak_s=0))
        office.rollouts.start(order, by="ada")
        made.ask(BASE)
        made.tick()
        yield made


@pytest.mark.parametrize(
    ("finished", "standing"), [("success", "succeeded"), ("failure", "failed")]
)
def test_an_order_is_fetched_and_its_result_is_told(
    device: Device, finished: str, standing: str
) -> None:
    assert device.standing == "ordered"
    assert device.ask(f"{BASE}/configData", "PUT", body=b"{}").status == 200
    assert device.json(BASE)["_links"]["deploymentBase"]["href"].endswith("/deploymentBase/1")
    (chunk,) = device.json(f"{BASE}/deploymentBase/1")["deployment"]["chunks"]
    (artifact,) = chunk["artifacts"]
    href = artifact["_links"]["download-http"]["href"].removeprefix("http://fleet:1")
    head = device.ask(href, "HEAD")
    assert (head.status, head.body) == (200, b"")
    part = device.ask(href, range=f"bytes=10-{artifact['size'] - 1}")
    assert part.status == 206
    device.tell("proceeding", "none")
    assert device.standing == "updating"
    device.tell("closed", finished)
    assert device.standing == standing
    assert "deploymentBase" not in device.json(BASE)["_links"]


def records(device: Device) -> int:
    with device.office.state.read() as connection:
        return connection.scalar(select(func.count()).select_from(schema.records)) or 0


def test_an_old_word_is_refused_and_the_same_again_changes_nothing(
    device: Device, tmp_path: Path
) -> None:
    for word in (("proceeding", "none"), ("closed", "success"), ("closed", "success")):
        device.tell(*word)
    assert (device.standing, records(device)) == ("succeeded", 2)
    device.tell("proceeding", "none", status=409)
    device.tell("closed", "failure", status=409)
    release_file(tmp_path / "2.ewb", version="2")
    release = device.office.registry.publish(tmp_path / "2.ewb", by="ada")
    device.office.registry.wrap(release.text, SwuOrder(), by="test")
    order = RolloutOrder(release="tiny@2", waves="100%", limits=Limits(soak_s=0))
    device.office.rollouts.start(order, by="ada")
    device.tick()
    device.ask(BASE)
    device.tick()
    device.tell("proceeding", "none", action=2)
    device.tell("closed", "success", action=1, status=409)
    device.tell("closed", "success", action=2)
    assert device.office.devices.show("swu1").models[0].running_version == "2"
    written = {entry.subject for entry in read_audit(device.office.state, newest=50)}
    assert "409 POST /default/controller/v1/swu1" in written


def test_an_order_that_failed_may_be_begun_again(device: Device) -> None:
    for word in (("proceeding", "none"), ("closed", "failure")) * 2:
        device.tell(*word)
    for word in (("proceeding", "none"), ("closed", "success")):
        device.tell(*word)
    assert records(device) == 6


@pytest.mark.parametrize(
    "path",
    [BASE.replace("swu1", "swu2"), BASE.replace("default", "other"), f"{BASE}/deploymentBase/7",
     f"{BASE}/softwaremodules/{'a' * 64}/artifacts/x.swu", f"{BASE}/nothing"],
)  # fmt: skip
def test_what_is_not_this_devices_is_not_given(device: Device, path: str) -> None:
    assert device.ask(path).status in (401, 404)


def test_a_wrong_token_opens_nothing(device: Device) -> None:
    assert device.ask(BASE, secret="ewd_guess").status == 401


def labels(device: Device) -> dict[str, str]:
    return dict(device.office.devices.show("swu1").labels)


def config(device: Device, body: bytes, status: int = 200) -> None:
    assert device.ask(f"{BASE}/configData", "PUT", body=body).status == status


def test_what_a_device_says_of_itself_becomes_labels_of_its_own(device: Device) -> None:
    device.office.devices.label("swu1", {"site": "berlin"}, by="ada")
    config(device, b'{"id":"","data":{"board":"edge 1!","site":"moon","n":3,"\\u00e4":"x"}}')
    mine = {"config.board": "edge-1", "config.site": "moon", "config.n": "3"}
    assert labels(device) == {"site": "berlin", **mine}
    config(device, b'{"data":{"n":4}}')
    assert labels(device)["config.n"] == "4"
    config(device, b'{"mode":"remove","data":{"n":0}}')
    config(device, b'{"mode":"replace","data":{"board":"edge-2"}}')
    assert labels(device) == {"site": "berlin", "config.board": "edge-2"}


def test_a_device_cannot_take_the_place_of_labels_that_people_gave(device: Device) -> None:
    given = {f"l{number}": "x" for number in range(60)}
    device.office.devices.label("swu1", given, by="ada")
    many = ",".join(f'"k{number}":"v"' for number in range(500))
    config(device, f'{{"data":{{{many}}}}}'.encode())
    assert labels(device).items() >= given.items()
    assert len(labels(device)) == 64
    config(device, b'{"data":7}', status=400)


def test_a_device_that_described_itself_is_not_asked_again_before_a_day(device: Device) -> None:
    assert device.json(BASE)["config"]["polling"]["sleep"] == "00:00:05"
    config(device, b"{}")
    root = device.json(BASE)
    assert list(root["_links"]) == ["deploymentBase"]
    assert root["config"]["polling"]["sleep"] == "00:00:30"
    clock = device.office.clock
    assert isinstance(clock, FakeClock)
    clock.advance(86_400)
    assert list(device.json(BASE)["_links"]) == ["configData", "deploymentBase"]
