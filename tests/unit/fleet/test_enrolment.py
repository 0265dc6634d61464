from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import func, select

from edgewright.device.agent import DeviceCertificate
from edgewright.errors import ConflictError, InputError, TrustError
from edgewright.fleet.audit import read_audit
from edgewright.fleet.authority import Authority, read_request
from edgewright.fleet.certificates import HOUR_S, HOURLY, Authorities
from edgewright.fleet.desired import look_up_certificate
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.enrolment import Granted, Wish
from edgewright.fleet.office import Office
from edgewright.fleet.state import schema
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office

DAY_S = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall_s=1_790_000_000.0)


@pytest.fixture
def office(tmp_path: Path, clock: FakeClock) -> Iterator[Office]:
    made = Authorities(authority=Authority.create(now_s=clock.wall_s()))
    with fleet_office(tmp_path / "home", clock, authorities=lambda: made) as office:
        yield office


def token(office: Office, **order: object) -> str:
    return office.devices.create_token(TokenOrder(**order), by="ada").token


def enrolled(office: Office, folder: Path, name: str = "d1", **order: object) -> Granted:
    csr = DeviceCertificate(folder).signing_request(name)
    done = office.enrolments.enrol(Wish(device=name, token=token(office, **order), csr=csr))
    assert done is not None
    return done


def is_known(office: Office, fingerprint: str) -> bool:
    now_s = office.clock.wall_s()
    return look_up_certificate(office.state, fingerprint, now_s=now_s) is not None


def test_a_request_becomes_a_short_lived_certificate_of_the_devices_name(
    office: Office, clock: FakeClock, tmp_path: Path
) -> None:
    issued = enrolled(office, tmp_path / "d1").certificate
    assert issued is not None
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=d1"
    assert issued.not_after_s == clock.wall_s() + 7 * DAY_S
    assert is_known(office, issued.fingerprint)
    clock.advance(7 * DAY_S)
    assert not is_known(office, issued.fingerprint)


def test_revoking_a_device_makes_its_certificate_worth_nothing(
    office: Office, tmp_path: Path
) -> None:
    issued = enrolled(office, tmp_path / "d1").certificate
    assert issued is not None
    office.devices.revoke("d1", by="ada")
    assert not is_known(office, issued.fingerprint)
    with pytest.raises(TrustError, match="no device of this fleet has that key"):
        office.enrolments.renew(DeviceCertificate(tmp_path / "d1").signing_request("d1"))


def test_a_wiped_device_comes_back_with_a_token_of_its_name_only(
    office: Office, tmp_path: Path
) -> None:
    first = enrolled(office, tmp_path / "d1").certificate
    with pytest.raises(InputError, match=r"enrolled already.*--for d1"):
        enrolled(office, tmp_path / "wiped")
    with pytest.raises(TrustError, match="for another device"):
        enrolled(office, tmp_path / "wiped", device="d2")
    second = enrolled(office, tmp_path / "wiped", device="d1").certificate
    assert first is not None
    assert second is not None
    assert is_known(office, second.fingerprint)
    assert not is_known(office, first.fingerprint)


def test_a_key_renews_its_certificate_for_a_while_after_its_end(
    office: Office, clock: FakeClock, tmp_path: Path
) -> None:
    enrolled(office, tmp_path / "d1")
    csr = DeviceCertificate(tmp_path / "d1").signing_request("d1")
    clock.advance(60 * DAY_S)
    issued = office.enrolments.renew(csr)
    assert is_known(office, issued.fingerprint)
    clock.advance(98 * DAY_S)
    with pytest.raises(TrustError):
        office.enrolments.renew(csr)


def test_a_key_that_was_replaced_renews_nothing(office: Office, tmp_path: Path) -> None:
    enrolled(office, tmp_path / "d1")
    device = DeviceCertificate(tmp_path / "d1")
    office.clock.advance(1)  # type: ignore[attr-defined]
    office.enrolments.renew(device.next_request("d1"), device="d1", enrolment=1)
    with pytest.raises(TrustError):
        office.enrolments.renew(device.signing_request("d1"))


def rows(office: Office) -> int:
    with office.state.read() as connection:
        query = select(func.count()).select_from(schema.certificates)
        return connection.scalar(query) or 0


def renewals(office: Office) -> int:
    return sum(entry.what == "certificate renewed" for entry in read_audit(office.state))


def test_asking_again_with_the_same_key_gives_the_same_certificate(
    office: Office, clock: FakeClock, tmp_path: Path
) -> None:
    first = enrolled(office, tmp_path / "d1").certificate
    csr = DeviceCertificate(tmp_path / "d1").signing_request("d1")
    assert all(office.enrolments.renew(csr) == first for _ in range(20))
    assert (rows(office), renewals(office)) == (1, 0)
    clock.advance(5 * DAY_S)
    second = office.enrolments.renew(csr)
    assert second != first
    assert office.enrolments.renew(csr, device="d1", enrolment=1) == second
    assert renewals(office) == 1


def test_a_device_gets_so_many_certificates_an_hour_and_old_ones_go(
    office: Office, clock: FakeClock, tmp_path: Path
) -> None:
    enrolled(office, tmp_path / "d1")

    def renew(number: int) -> None:
        device = DeviceCertificate(tmp_path / f"{number}")
        office.enrolments.renew(device.signing_request("d1"), device="d1", enrolment=1)

    for number in range(1, HOURLY):
        renew(number)
    with pytest.raises(ConflictError, match=f"got {HOURLY} certificates within 3600 s"):
        renew(HOURLY)
    assert (rows(office), renewals(office)) == (HOURLY, HOURLY - 1)
    clock.advance(HOUR_S)
    renew(HOURLY)
    clock.advance(30 * DAY_S)
    renew(HOURLY)
    assert rows(office) == 1


def test_short_lived_certificates_are_renewed_as_often_as_they_end(
    tmp_path: Path, clock: FakeClock
) -> None:
    made = Authorities(authority=Authority.create(now_s=clock.wall_s()), lifetime_s=120.0)
    with fleet_office(tmp_path / "home", clock, authorities=lambda: made) as office:
        enrolled(office, tmp_path / "d1")
        for number in range(4 * HOURLY):
            clock.advance(80)
            csr = DeviceCertificate(tmp_path / f"{number}").signing_request("d1")
            office.enrolments.renew(csr, device="d1", enrolment=1)
        assert rows(office) <= 2


def test_a_device_waits_until_a_person_has_decided(office: Office, tmp_path: Path) -> None:
    csr = DeviceCertificate(tmp_path / "d1").signing_request("d1")
    wish = Wish(device="d1", token=token(office, needs_approval=True), csr=csr)
    assert office.enrolments.enrol(wish) is None
    assert office.enrolments.enrol(wish) is None
    (waiting,) = office.enrolments.waiting()
    assert (waiting.device, waiting.key_hash) == ("d1", read_request(csr).key_hash)
    office.enrolments.decide("d1", is_approved=True, by="ada")
    stranger = DeviceCertificate(tmp_path / "stranger").signing_request("d1")
    with pytest.raises(TrustError):
        office.enrolments.enrol(Wish(device="d1", token=wish.token, csr=stranger))
    assert office.enrolments.enrol(wish) is not None
    assert office.enrolments.waiting() == ()
    deeds = [entry.what for entry in read_audit(office.state)]
    assert deeds[:3] == ["device enrolled", "enrolment approved", "enrolment asked for"]


def test_a_refused_device_stays_outside(office: Office, tmp_path: Path) -> None:
    csr = DeviceCertificate(tmp_path / "d1").signing_request("d1")
    wish = Wish(device="d1", token=token(office, needs_approval=True), csr=csr)
    office.enrolments.enrol(wish)
    office.enrolments.decide("d1", is_approved=False, by="ada")
    with pytest.raises(TrustError, match="was refused"):
        office.enrolments.enrol(wish)
    with pytest.raises(InputError, match="no device d1 waits"):
        office.enrolments.decide("d1", is_approved=True, by="ada")


def test_a_factory_certificate_lets_in_under_its_own_name(office: Office, tmp_path: Path) -> None:
    csr = DeviceCertificate(tmp_path / "d1").signing_request("d1")
    wish = Wish(device="d1", csr=csr, factory_name="d1")
    assert office.enrolments.enrol(wish) is None
    office.enrolments.decide("d1", is_approved=True, by="ada")
    assert office.enrolments.enrol(wish) is not None
    with pytest.raises(TrustError, match="enrols a device of that name"):
        office.enrolments.enrol(Wish(device="d2", csr=csr, factory_name="d1"))


def test_an_unknown_time_zone_is_said_and_does_not_keep_a_device_out(office: Office) -> None:
    office.enrolments.enrol(Wish(device="d1", token=token(office), timezone="Moon/Base"))
    assert office.devices.show("d1").timezone == "UTC"
    assert "Moon/Base" in read_audit(office.state)[0].detail


@pytest.mark.parametrize("csr", ["", "not pem", "x" * 9000])
def test_what_is_no_request_is_refused(csr: str) -> None:
    with pytest.raises(InputError, match="signing request"):
        read_request(csr)


def test_an_authority_is_made_of_two_files_that_belong_together() -> None:
    one, other = Authority.create(now_s=0), Authority.create(now_s=0)
    again = Authority.load(one.certificate_pem, one.key_pem)
    assert again.fingerprint == one.fingerprint
    with pytest.raises(InputError, match="not the certificate's"):
        Authority.load(one.certificate_pem, other.key_pem)
    leaf, key = one.issue_server(["a.example"], now_s=1e9)
    with pytest.raises(InputError, match="may not sign others"):
        Authority.load(leaf, key)
    assert one.has_signed(leaf)
    assert not other.has_signed(leaf)
