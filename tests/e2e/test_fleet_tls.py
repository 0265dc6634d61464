"""Devices with certificates against a real fleet process that speaks TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fleet_process import fleet_serving

from edgewright.chain import enrolment
from edgewright.chain.fleet import open_fleet, trust
from edgewright.chain.fleet_tls import FleetTls
from edgewright.clock import SystemClock
from edgewright.device.agent import DeviceCertificate, FleetClient, Home
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.fleet.authority import Authority, read_request
from edgewright.fleet.certificates import Authorities
from edgewright.fleet.devices import TokenOrder
from edgewright.testing import FakeClock
from edgewright.testing.fleet import SIGNER
from edgewright.transports.http1 import Client, Response
from edgewright.wire import device_api as wire

pytestmark = pytest.mark.timeout(120)


class Served:
    """A fleet process and its home."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.home = folder / "fleet"
        self.flags = flags
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.home, [folder / "key.pub"], threshold=1, by="test")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with fleet_serving(self.home, *self.flags) as made:
            self.devices, self.people = made.devices, made.people
            yield

    def token(self, **order: object) -> str:
        with open_fleet(self.home) as office:
            return office.devices.create_token(TokenOrder(**order), by="test").token

    def enrol(self, home: Path, name: str, **order: object) -> None:
        enrolment.enroll(self.devices, token=self.token(**order), home=home, device=name, labels={})

    def asked(self, home: Path, *, shows: bool = True, **headers: str) -> int:
        """The status of a poll by the device of this home."""
        context = DeviceCertificate(home).context(shows=shows)

        async def ask() -> Response:
            async with Client(self.devices, tls=context, timeout_s=10) as client:
                return await client.request("GET", wire.DESIRED, headers=headers)

        return asyncio.run(ask()).status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("tls"), "--tls")
    with made.running():
        yield made


def test_a_device_is_who_its_certificate_says_until_it_is_revoked(
    served: Served, tmp_path: Path
) -> None:
    assert served.devices.startswith("https://")
    home = tmp_path / "a"
    served.enrol(home, "a")
    assert Home(home).identity().secret == ""
    assert (home / "tls" / "device.key").stat().st_mode & 0o077 == 0
    assert served.asked(home) == 200
    assert served.asked(home, shows=False) == 401
    assert served.asked(home, shows=False, authorization="Bearer ewd_guess") == 401
    with open_fleet(served.home) as office:
        office.devices.revoke("a", by="test")
    assert served.asked(home) == 401


def test_a_poll_that_is_held_open_ends_when_its_device_is_revoked(
    served: Served, tmp_path: Path
) -> None:
    home = tmp_path / "held"
    served.enrol(home, "held")

    async def story() -> Response:
        async with Client(served.devices, tls=DeviceCertificate(home).context()) as client:
            etag = (await client.request("GET", wire.DESIRED)).headers["etag"]
            poll = asyncio.create_task(
                client.request("GET", f"{wire.DESIRED}?wait=25", headers={"if-none-match": etag})
            )
            await asyncio.sleep(0.5)
            with open_fleet(served.home) as office:
                office.devices.revoke("held", by="test")
            async with asyncio.timeout(10):
                return await poll

    assert asyncio.run(story()).status == 401


def test_a_client_proves_one_device_and_reports_for_no_other(
    served: Served, tmp_path: Path
) -> None:
    for name in ("b", "c"):
        served.enrol(tmp_path / name, name)
    context = DeviceCertificate(tmp_path / "b").context()

    async def story() -> Response:
        async with Client(served.devices, tls=context) as client:
            body = (
                b'{"records":[{"kind":"health","device":"c","sequence":1,"at_s":0,'
                b'"memory_free_mb":1,"disk_free_mb":1}]}'
            )
            return await client.request("POST", wire.TELEMETRY, body=body)

    assert asyncio.run(story()).status in (400, 403)


def test_a_certificate_is_renewed_with_a_new_key(served: Served, tmp_path: Path) -> None:
    home = tmp_path / "d"
    served.enrol(home, "d")
    before = (home / "tls" / "device.key").read_bytes()
    clock = FakeClock(wall_s=SystemClock().wall_s())

    async def story() -> list[bool]:
        client = FleetClient(
            served.devices, secret="", clock=clock, certificate=DeviceCertificate(home)
        )
        done = [await client.renew("d")]
        clock.advance(5 * 86_400)
        done.append(await client.renew("d"))
        assert await client.desired(etag="", wait_s=0) is not None
        await client.close()
        return done

    assert asyncio.run(story()) == [False, True]
    assert (home / "tls" / "device.key").read_bytes() != before
    assert not (home / "tls" / "next.key").exists()
    assert served.asked(home) == 200


def test_a_certificate_that_ended_is_renewed_by_its_key(served: Served, tmp_path: Path) -> None:
    home = tmp_path / "late"
    served.enrol(home, "late")
    clock = FakeClock(wall_s=SystemClock().wall_s() + 30 * 86_400)

    async def story() -> bool:
        client = FleetClient(
            served.devices, secret="", clock=clock, certificate=DeviceCertificate(home)
        )
        done = await client.renew("late")
        await client.close()
        return done

    assert asyncio.run(story())
    assert served.asked(home) == 200


def test_a_fleet_that_the_token_does_not_name_is_not_believed(
    served: Served, tmp_path: Path
) -> None:
    token, _, pin = served.token().partition(".")
    forged = f"{token}.{pin[:-4]}beef"
    with pytest.raises(TrustError, match="somebody may stand in between"):
        enrolment.enroll(served.devices, token=forged, home=tmp_path / "e", device="e", labels={})
    with pytest.raises(TransportError):
        enrolment.enroll(served.devices, token=token, home=tmp_path / "f", device="f", labels={})


def test_the_certificate_of_a_stranger_does_not_get_through_the_handshake(
    served: Served, tmp_path: Path
) -> None:
    home = tmp_path / "g"
    served.enrol(home, "g")
    stranger = Authorities(authority=Authority.create(now_s=SystemClock().wall_s()))
    device = DeviceCertificate(home)
    issued = stranger.authority.issue_device(
        read_request(device.signing_request("g")),
        device="g",
        now_s=SystemClock().wall_s(),
        lifetime_s=3600,
    )
    (home / "tls" / "device.pem").write_text(issued.pem)
    with pytest.raises(TransportError):
        served.asked(home)


def test_an_approved_device_enrols_by_asking_again(served: Served, tmp_path: Path) -> None:
    home, token = tmp_path / "h", served.token(needs_approval=True)

    def enrol() -> None:
        enrolment.enroll(served.devices, token=token, home=home, device="h", labels={})

    with pytest.raises(TransportError, match="waits for approval"):
        enrol()
    with open_fleet(served.home) as office:
        office.enrolments.decide("h", is_approved=True, by="test")
    enrol()
    assert served.asked(home) == 200


def test_people_need_a_token_for_everything_over_tls(served: Served) -> None:
    context = ssl.create_default_context(cafile=str(served.home / "tls" / "authority.pem"))
    with open_fleet(served.home) as office:
        office.users.add("vera", "viewer", by="test")
        token = office.users.create_token("vera", lifetime_s=60, by="test").token

    async def story() -> list[int]:
        async with Client(served.people, tls=context) as client:
            bearer = {"authorization": f"Bearer {token}"}
            return [
                (await client.request("GET", "/api/v1/devices")).status,
                (await client.request("GET", "/api/v1/devices", headers=bearer)).status,
            ]

    assert asyncio.run(story()) == [401, 200]


def test_only_a_trusted_proxy_may_say_who_the_device_is(served: Served, tmp_path: Path) -> None:
    """The same certificate in a header: believed from a trusted proxy and from nobody else."""
    import base64

    home = tmp_path / "i"
    served.enrol(home, "i")
    pem = (home / "tls" / "device.pem").read_text()
    header = f":{base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()}:"
    assert served.asked(home, shows=False, **{"client-cert": header}) == 401
    proxied = Served(tmp_path, "--tls", "--trusted-proxy", "127.0.0.1")
    proxied.home = served.home
    with proxied.running():
        assert proxied.asked(home, shows=False, **{"client-cert": header}) == 200
        assert proxied.asked(home, shows=False, **{"client-cert": ":AAAA:"}) == 401


def test_a_factory_certificate_enrols_without_a_token(tmp_path: Path) -> None:
    factory = Authority.create(now_s=SystemClock().wall_s())
    (tmp_path / "factory.pem").write_bytes(factory.certificate_pem)
    made = Served(tmp_path, "--tls")
    FleetTls(made.home).init(["127.0.0.1"])
    FleetTls(made.home).trust_factory(tmp_path / "factory.pem", needs_approval=False)
    home = tmp_path / "unit7"
    device = DeviceCertificate(home)
    csr = device.signing_request("unit7")
    shown = factory.issue_device(
        read_request(csr), device="unit7", now_s=SystemClock().wall_s(), lifetime_s=3600
    )
    device.trust_authority((made.home / "tls" / "authority.pem").read_bytes())
    device.save(shown.pem, "")

    async def story(name: str) -> wire.EnrollReply:
        client = FleetClient(
            made.devices, secret="", clock=SystemClock(), certificate=DeviceCertificate(home)
        )
        try:
            return await client.enroll(wire.EnrollRequest(device=name, csr=csr))
        finally:
            await client.close()

    with made.running():
        assert made.asked(home) == 401
        with pytest.raises(InputError, match="enrols a device of that name"):
            asyncio.run(story("unit8"))
        reply = asyncio.run(story("unit7"))
        device.save(reply.certificate, reply.authority)
        assert made.asked(home) == 200
