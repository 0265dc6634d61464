"""Signed batches of devices, whatever carried them: who made one may send it again, and who caught
an old one may not.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgewright.device.agent import DeviceCertificate
from edgewright.device.agent.hint_line import signed_batch
from edgewright.fleet.audit import read_audit
from edgewright.fleet.authority import Authority
from edgewright.fleet.certificates import Authorities
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.enrolment import Wish
from edgewright.fleet.gateway import SignedIntake
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence
from edgewright.telemetry import HealthRecord
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office
from edgewright.wire.broker import BatchAnswer


class Line:
    """A way into a fleet, and its device d1."""

    def __init__(self, office: Office, writer: ThreadPoolExecutor, way: str, folder: Path) -> None:
        self.office, self.presence = office, Presence()
        desk = Desk(
            state=office.state,
            registry=office.registry,
            enrolments=office.enrolments,
            presence=self.presence,
            clock=office.clock,
            trusted=office.trusted,
            writer=writer,
            refusals=office.refusals,
        )
        self._intake = SignedIntake(desk, way)
        self._certificate = DeviceCertificate(folder)
        self._count = 0
        self.enrol()

    def enrol(self) -> None:
        order = TokenOrder(device="d1" if self._certificate.exists else "")
        token = self.office.devices.create_token(order, by="ada").token
        wish = Wish(device="d1", token=token, csr=self._certificate.signing_request("d1"))
        granted = self.office.enrolments.enrol(wish)
        assert granted is not None
        assert granted.certificate is not None
        self._certificate.save(granted.certificate.pem, "")

    def made(self, *sequences: int) -> bytes:
        """What the device sends, signed now."""
        self._count += 1
        records = tuple(
            HealthRecord(device="d1", sequence=n, at_s=1.0, memory_free_mb=1.0, disk_free_mb=1.0)
            for n in sequences
        )
        return signed_batch(self._certificate, "d1", f"m{self._count}", records)

    def brings(self, *payloads: bytes) -> list[tuple[int, int, int]]:
        """Status, stored and known of messages that come at the same time."""

        async def case() -> list[BatchAnswer | None]:
            return await asyncio.gather(*(self._intake.answer("d1", one) for one in payloads))

        answers = [one for one in asyncio.run(case()) if one is not None]
        return [(one.status, one.stored, one.known) for one in answers]

    @property
    def is_seen(self) -> bool:
        """Whether the device showed itself since the last look."""
        return "d1" in self.presence.take_seen(now_s=0.0)

    @property
    def refusals(self) -> list[str]:
        return [e.subject for e in read_audit(self.office.state, newest=100)
                if e.what.startswith("request refused")]  # fmt: skip


@pytest.fixture(params=["MQTT", "AMQP", "CoAP"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    clock = FakeClock(wall_s=1_790_000_000.0)
    made = Authorities(authority=Authority.create(now_s=clock.wall_s()))
    with (
        fleet_office(tmp_path / "home", clock, authorities=lambda: made) as office,
        ThreadPoolExecutor(max_workers=1) as writer,
    ):
        yield Line(office, writer, request.param, tmp_path / "d1")


def test_a_message_that_was_caught_is_refused_once_there_is_a_newer_one(line: Line) -> None:
    old, new = line.made(1, 2), line.made(3)
    assert line.brings(old, new) == [(200, 2, 0), (200, 1, 0)]
    assert line.brings(old) == [(409, 0, 0)]
    assert [one.split(" ")[::2] for one in line.refusals] == [["409", "/telemetry/d1"]]
    for _ in range(50):
        assert line.brings(old) == [(409, 0, 0)]
    assert len(line.refusals) == 1
    assert line.brings(line.made(2, 3, 4)) == [(200, 1, 2)]


def test_a_device_that_heard_no_answer_sends_again_and_is_not_refused(line: Line) -> None:
    first = line.made(1, 2)
    assert line.brings(first, first) == [(200, 2, 0), (200, 0, 2)]  # the broker, twice
    assert line.brings(line.made(1, 2)) == [(200, 0, 2)]  # the device, anew
    assert line.brings(line.made(1, 2, 3)) == [(200, 1, 2)]
    assert line.refusals == []


def test_a_message_sent_again_is_no_sign_of_life(line: Line) -> None:
    message = line.made(1)
    assert line.brings(message) == [(200, 1, 0)]
    assert line.is_seen
    assert line.brings(message) == [(200, 0, 1)]
    assert not line.is_seen


def test_a_message_of_before_the_device_enrolled_anew_is_refused(line: Line) -> None:
    old = line.made(1)
    line.enrol()
    assert line.brings(old) == [(403, 0, 0)]
    assert line.brings(line.made(1)) == [(200, 1, 0)]
