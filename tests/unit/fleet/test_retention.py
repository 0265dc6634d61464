import pytest
from sqlalchemy import select

from edgewright.errors import InputError
from edgewright.fleet import retention
from edgewright.fleet.audit import read_audit
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.retention import DAY_S, DEFAULT_DAYS
from edgewright.fleet.state import schema
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import HealthRecord, UpdateRecord
from edgewright.testing import FakeClock


@pytest.fixture
def told(office: Office, clock: FakeClock) -> Office:
    """A device that told how it is every ten days, and took one step at the beginning."""
    token = office.devices.create_token(TokenOrder(), by="ada").token
    office.devices.enrol(token, "d1", {})
    step = UpdateRecord(device="d1", sequence=1, at_s=0, bundle="b" * 64, state="commit")
    keep(office.state, "d1", 1, [step], now_s=clock.wall_s())
    for number in range(2, 13):
        health = HealthRecord(
            device="d1", sequence=number, at_s=0, memory_free_mb=1, disk_free_mb=1
        )
        keep(office.state, "d1", 1, [health], now_s=clock.wall_s())
        clock.advance(10 * DAY_S)
    return office


def kept(office: Office) -> list[int]:
    with office.state.read() as connection:
        return list(connection.scalars(select(schema.records.c.sequence)))


def test_numbers_go_after_their_days_and_steps_stay(told: Office) -> None:
    assert told.retention.facts().days == DEFAULT_DAYS
    assert told.retention.forget() == 2
    assert kept(told) == [1, *range(4, 13)]
    told.retention.set(30, by="ada")
    assert told.retention.forget() == 6
    assert kept(told) == [1, 10, 11, 12]
    assert read_audit(told.state)[0].what == "retention set"
    assert told.retention.forget() == 0


def test_the_newest_record_of_each_device_stays(
    told: Office, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    told.retention.set(1, by="ada")
    clock.advance(1000 * DAY_S)
    while told.retention.forget():
        pass
    assert kept(told) == [1, 12]


def test_zero_keeps_everything_for_ever(told: Office) -> None:
    told.retention.set(0, by="ada")
    assert told.retention.forget() == 0
    assert len(kept(told)) == 12
    with pytest.raises(InputError, match="0 or more"):
        told.retention.set(-1, by="ada")


def test_few_go_at_a_time(told: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    told.retention.set(30, by="ada")
    assert [told.retention.forget() for _ in range(5)] == [2, 2, 2, 2, 0]


def test_sessions_and_tokens_that_ended_go(office: Office, clock: FakeClock) -> None:
    office.users.add("ada", "viewer", by="root")
    office.users.create_token("ada", lifetime_s=60, by="root")
    office.users.create_token("ada", lifetime_s=6000, by="root")
    clock.advance(61)
    office.retention.forget()
    assert office.users.revoke_tokens("ada", by="root") == 1
