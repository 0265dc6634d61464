import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from edgewright.fleet.audit import read_audit
from edgewright.fleet.device_api import DeviceApi
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.telemetry import UpdateRecord, encode_batch
from edgewright.testing.fleet import SIGNER, release_file
from edgewright.transports.http1 import Request, Response
from edgewright.wire import device_api as wire


class Api:
    """The handler, called without a network."""

    def __init__(self, office: Office, presence: Presence, writer: ThreadPoolExecutor) -> None:
        self.office, self.presence = office, presence
        desk = Desk(
            state=office.state,
            registry=office.registry,
            enrolments=office.enrolments,
            presence=presence,
            clock=office.clock,
            trusted=office.trusted,
            writer=writer,
            refusals=office.refusals,
        )
        self._handler = DeviceApi(desk)

    def ask(self, method: str, path: str, secret: str = "", **fields: object) -> Response:
        return asyncio.run(self.asked(method, path, secret, **fields))

    async def asked(
        self, method: str, path: str, secret: str = "", *, body: bytes = b"", **headers: str
    ) -> Response:
        path, _, query = path.partition("?")
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if secret:
            sent["authorization"] = f"Bearer {secret}"
        pairs = [pair.split("=") for pair in query.split("&") if pair]
        return await self._handler(
            Request(method=method, path=path, query=dict(pairs), headers=sent, body=body)
        )

    def enrol(self, name: str) -> str:
        token = self.office.devices.create_token(TokenOrder(), by="ada").token
        body = msgspec.json.encode(wire.EnrollRequest(token=token, device=name))
        answer = self.ask("POST", wire.ENROLL, body=body)
        assert answer.status == 201
        return msgspec.json.decode(answer.body, type=wire.EnrollReply).secret


@pytest.fixture
def api(office: Office) -> Iterator[Api]:
    with ThreadPoolExecutor(max_workers=1) as writer:
        yield Api(office, Presence(), writer)


@pytest.fixture
def ordered(api: Api, tmp_path: Path) -> tuple[Api, str, str]:
    """A device that has an order, its secret, and the bundle."""
    bundle_id = release_file(tmp_path / "1.ewb", version="1")
    api.office.registry.publish(tmp_path / "1.ewb", by="ada")
    secret = api.enrol("d1")
    order = RolloutOrder(release="tiny@1", waves="100%", limits=Limits(soak_s=0))
    api.office.rollouts.start(order, by="ada")
    api.office.rollouts.tick(here=["d1"])
    return api, secret, bundle_id


def problem(answer: Response) -> wire.Problem:
    return msgspec.json.decode(answer.body, type=wire.Problem)


def test_enrolling_tells_the_keys_to_trust(api: Api) -> None:
    token = api.office.devices.create_token(TokenOrder(), by="ada").token
    body = msgspec.json.encode(wire.EnrollRequest(token=token, device="d1"))
    reply = msgspec.json.decode(api.ask("POST", wire.ENROLL, body=body).body, type=wire.EnrollReply)
    assert (reply.device, reply.threshold) == ("d1", 1)
    assert [(key.key_id, key.public_hex) for key in reply.keys] == [
        (SIGNER.public.key_id, SIGNER.public.public_hex)
    ]
    assert api.ask("POST", wire.ENROLL, body=body).status == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", wire.DESIRED, 401),
        ("POST", wire.TELEMETRY, 401),
        ("GET", f"{wire.BUNDLES}/{'a' * 64}", 401),
        ("POST", wire.DESIRED, 405),
        ("GET", "/device/v1/nothing", 404),
        ("POST", wire.ENROLL, 400),
    ],
)
def test_who_is_unknown_gets_nothing(api: Api, method: str, path: str, status: int) -> None:
    answer = api.ask(method, path, "ewd_guess")
    assert answer.status == status
    assert problem(answer).error


def test_a_poll_in_vain_is_not_modified(ordered: tuple[Api, str, str]) -> None:
    api, secret, bundle_id = ordered
    first = api.ask("GET", wire.DESIRED, secret)
    (model,) = msgspec.json.decode(first.body, type=wire.Desired).models
    assert (model.bundle_id, model.version, model.rollout) == (bundle_id, "1", "1")
    again = api.ask("GET", wire.DESIRED, secret, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_known_etag_acknowledges_the_order(ordered: tuple[Api, str, str]) -> None:
    api, secret, _ = ordered
    etag = api.ask("GET", wire.DESIRED, secret).headers["etag"]
    assert api.presence.take_news()[1] == frozenset()
    api.ask("GET", wire.DESIRED, secret, if_none_match=etag)
    assert api.presence.take_news()[1] == {"d1"}


def test_a_download_acknowledges_and_resumes(ordered: tuple[Api, str, str]) -> None:
    api, secret, bundle_id = ordered
    release, path = api.office.registry.file(bundle_id)

    async def download() -> bytes:
        answer = await api.asked("GET", f"{wire.BUNDLES}/{bundle_id}", secret, range="bytes=1000-")
        assert answer.status == 206
        assert answer.stream is not None
        return b"".join([chunk async for chunk in answer.stream])

    assert asyncio.run(download()) == path.read_bytes()[1000:]
    assert api.presence.take_news()[1] == {"d1"}
    head = api.ask("HEAD", f"{wire.BUNDLES}/{bundle_id}", secret)
    assert (head.status, head.length) == (200, release.file_size_bytes)


def test_a_bundle_of_others_does_not_exist(ordered: tuple[Api, str, str]) -> None:
    api, _, bundle_id = ordered
    other = api.enrol("d2")
    for name in (bundle_id, "", "models", "../fleet.db", "a" * 64):
        assert api.ask("GET", f"{wire.BUNDLES}/{name}", other).status == 404


def test_a_held_poll_answers_when_its_device_is_woken(ordered: tuple[Api, str, str]) -> None:
    api, secret, _ = ordered

    async def case() -> int:
        first = await api.asked("GET", wire.DESIRED, secret)
        etag = first.headers["etag"]
        poll = asyncio.create_task(
            api.asked("GET", f"{wire.DESIRED}?wait=60", secret, if_none_match=etag)
        )
        for _ in range(3):
            await asyncio.sleep(0)
        assert api.presence.waiting == 1
        api.presence.wake(["d1"])
        for _ in range(3):
            await asyncio.sleep(0)
        assert not poll.done()
        api.office.rollouts.abort(1, returns=True, reason="", by="ada")
        api.presence.wake(["d1"])
        return (await poll).status

    assert asyncio.run(case()) == 200


@pytest.mark.parametrize("wait", ["soon", "-1", "nan"])
def test_a_wait_that_is_none_is_refused(ordered: tuple[Api, str, str], wait: str) -> None:
    api, secret, _ = ordered
    assert api.ask("GET", f"{wire.DESIRED}?wait={wait}", secret).status == 400


def test_telemetry_is_idempotent_and_ones_own(ordered: tuple[Api, str, str]) -> None:
    api, secret, bundle_id = ordered
    record = UpdateRecord(device="d1", sequence=1, at_s=0, bundle=bundle_id, state="commit")
    body = encode_batch([record]) + b'{"kind":"novel","x":1}\n'
    first = api.ask("POST", wire.TELEMETRY, secret, body=body)
    again = api.ask("POST", wire.TELEMETRY, secret, body=body)
    replies = [msgspec.json.decode(a.body, type=wire.Accepted) for a in (first, again)]
    assert replies == [
        wire.Accepted(stored=1, known=0, unknown_kind=1),
        wire.Accepted(stored=0, known=1, unknown_kind=1),
    ]
    newer = msgspec.structs.replace(record, sequence=2, state="idle")
    assert api.ask("POST", wire.TELEMETRY, secret, body=encode_batch([newer])).status == 200
    old = api.ask("POST", wire.TELEMETRY, secret, body=body)
    problem = msgspec.json.decode(old.body, type=wire.OutdatedProblem)
    assert (old.status, problem.newest, problem.same) == (409, 2, 1)
    refused = read_audit(api.office.state, newest=1)[0]
    assert refused.who.endswith(" as d1")
    assert refused.subject == f"409 POST {wire.TELEMETRY}"
    forged = encode_batch([msgspec.structs.replace(record, device="d2", sequence=2)])
    assert api.ask("POST", wire.TELEMETRY, secret, body=forged).status == 403
    assert api.ask("POST", wire.TELEMETRY, secret, body=b"{").status == 400


def test_a_revoked_device_is_refused(ordered: tuple[Api, str, str]) -> None:
    api, secret, bundle_id = ordered
    api.office.devices.revoke("d1", by="ada")
    for path in (wire.DESIRED, f"{wire.BUNDLES}/{bundle_id}"):
        answer = api.ask("GET", path, secret)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_what_healthy_devices_ask_every_day_is_not_written_down_as_refused(
    ordered: tuple[Api, str, str],
) -> None:
    """Whether there is a next root is asked by asking for it."""
    api, secret, _ = ordered
    next_root = f"{wire.REPOSITORIES}/director/2.root.json"

    def refused() -> list[str]:
        log = read_audit(api.office.state)
        return [entry.subject for entry in log if entry.what.startswith("request refused")]

    assert api.ask("GET", next_root, secret).status == 404
    assert refused() == []
    assert api.ask("GET", next_root).status == 401
    assert api.ask("GET", f"{wire.REPOSITORIES}/director/../fleet.db", secret).status == 404
    assert len(refused()) == 2
