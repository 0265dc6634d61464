from collections.abc import Callable

import pytest
from sqlalchemy import select

from edgewright.errors import InputError, TrustError
from edgewright.fleet.desired import look_up
from edgewright.fleet.devices import Devices, TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.state import schema
from edgewright.testing import FakeClock


def token(office: Office, **order: object) -> str:
    return office.devices.create_token(TokenOrder(**order), by="ada").token


def is_known(office: Office, secret: str) -> bool:
    return look_up(office.state, secret) is not None


def test_a_token_lets_in_as_many_devices_as_it_says(office: Office) -> None:
    made = token(office, uses=2)
    office.devices.enrol(made, "a", {})
    office.devices.enrol(made, "b", {})
    with pytest.raises(TrustError, match="unknown, used up or expired"):
        office.devices.enrol(made, "c", {})


def test_a_token_expires(office: Office, clock: FakeClock) -> None:
    made = token(office, lifetime_s=60)
    clock.advance(60)
    with pytest.raises(TrustError):
        office.devices.enrol(made, "a", {})


def test_a_refused_enrolment_uses_nothing_up(office: Office) -> None:
    made = token(office, uses=2)
    office.devices.enrol(made, "a", {})
    with pytest.raises(InputError, match="enrolled already"):
        office.devices.enrol(made, "a", {})
    with pytest.raises(InputError):
        office.devices.enrol(made, "not a name", {})
    office.devices.enrol(made, "b", {})


def test_the_labels_of_the_token_win(office: Office) -> None:
    made = token(office, labels={"site": "berlin"})
    office.devices.enrol(made, "a", {"site": "rome", "arch": "arm64"})
    assert office.devices.show("a").labels == {"arch": "arm64", "site": "berlin"}


def test_a_secret_opens_until_its_device_is_revoked(office: Office) -> None:
    secret = office.devices.enrol(token(office), "a", {})
    assert is_known(office, secret)
    assert not is_known(office, secret + "x")
    office.devices.revoke("a", by="ada")
    assert not is_known(office, secret)
    assert office.devices.show("a").is_revoked


def test_a_revoked_device_can_enrol_again_with_a_new_secret(office: Office) -> None:
    first = office.devices.enrol(token(office), "a", {})
    office.devices.revoke("a", by="ada")
    second = office.devices.enrol(token(office), "a", {})
    assert is_known(office, second)
    assert not is_known(office, first)


def test_no_secret_is_stored(office: Office) -> None:
    made = token(office)
    secret = office.devices.enrol(made, "a", {})
    user = office.users.add("ada", "viewer", by="root")
    person = office.users.create_token(user.name, lifetime_s=60, by="root").token
    with office.state.read() as connection:
        for table in schema.metadata.tables.values():
            text = repr(connection.execute(select(table)).all())
            assert not any(word in text for word in (made, secret, person))


def test_labels_are_set_and_taken_away(office: Office) -> None:
    office.devices.enrol(token(office, labels={"site": "rome"}), "a", {})
    office.devices.label("a", {"tier": "prod", "site": None}, by="ada")
    assert office.devices.show("a").labels == {"tier": "prod"}


def test_devices_are_found_page_by_page(office: Office) -> None:
    made = token(office, uses=5)
    for name in "abcde":
        office.devices.enrol(made, name, {})
    assert [d.name for d in office.devices.find(limit=2, after="b")] == ["c", "d"]
    assert office.devices.count() == 5


def test_a_change_moves_the_revision_of_its_device_only(office: Office) -> None:
    made = token(office, uses=2)
    office.devices.enrol(made, "a", {})
    office.devices.enrol(made, "b", {})
    before = office.devices.newest_revision()
    office.devices.revoke("a", by="ada")
    assert office.devices.changed_since(before) == ("a",)


def test_seen_times_are_kept(office: Office) -> None:
    office.devices.enrol(token(office), "a", {})
    office.devices.note_seen({"a": 12.5, "stranger": 1.0})
    assert office.devices.show("a").last_seen_s == 12.5


@pytest.mark.parametrize(
    "act",
    [
        lambda devices: devices.show("ghost"),
        lambda devices: devices.revoke("ghost", by="ada"),
        lambda devices: devices.label("ghost", {}, by="ada"),
    ],
)
def test_an_unknown_device_is_named(office: Office, act: Callable[[Devices], object]) -> None:
    with pytest.raises(InputError, match="there is no device ghost"):
        act(office.devices)


@pytest.mark.parametrize("wrong", [{"uses": 0}, {"lifetime_s": 0}, {"lifetime_s": 1e12}])
def test_an_unlimited_token_cannot_be_ordered(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TokenOrder(**wrong)
