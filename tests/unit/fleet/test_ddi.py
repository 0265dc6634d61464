import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgewright.fleet.device_api import DeviceApi
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.swu import SwuPlaces
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

    def tell(self, execution: str, finished: str) -> None:
        text = (
            f'{{"id":1,"status":{{"execution":"{execution}","result":{{"finished":"{finished}"}},'
        )
        body = (text + '"details":["why"]}}').encode()
        assert self.ask(f"{BASE}/deploymentBase/1/feedback", "POST", body=body).status == 200
        self.tick()

    @property
    def standing(self) -> str:
        (member,) = self.office.rollouts.status(1).members
        return member.standing


@pytest.fixture
def device(office: Office, tmp_path: Path) -> Iterator[Device]:
    release_file(tmp_path / "1.ewb", version="1")
    release = office.registry.publish(tmp_path / "1.ewb", by="ada")
    office.registry.wrap(release, SwuPlaces())
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


@pytest.mark.parametrize(
    "path",
    [BASE.replace("swu1", "swu2"), BASE.replace("default", "other"), f"{BASE}/deploymentBase/7",
     f"{BASE}/softwaremodules/{'a' * 64}/artifacts/x.swu", f"{BASE}/nothing"],
)  # fmt: skip
def test_what_is_not_this_devices_is_not_given(device: Device, path: str) -> None:
    assert device.ask(path).status in (401, 404)


def test_a_wrong_token_opens_nothing(device: Device) -> None:
    assert device.ask(BASE, secret="ewd_guess").status == 401
