import msgspec
import pytest
from sqlalchemy import select, update

from edgewright.errors import InputError, TrustError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.state import schema
from edgewright.fleet.telemetry import (
    MODELS_OF_DEVICE,
    Batch,
    Kept,
    OutdatedError,
    has_unheard,
    hear,
    keep,
    keep_all,
)
from edgewright.telemetry import HealthRecord, Record, UpdateRecord


@pytest.fixture
def enrolled(office: Office) -> Office:
    token = office.devices.create_token(TokenOrder(uses=9), by="ada").token
    office.devices.enrol(token, "d1", {})
    return office


def step(sequence: int, state: str, *, version: str = "1", device: str = "d1") -> UpdateRecord:
    return UpdateRecord(
        device=device,
        sequence=sequence,
        at_s=float(sequence),
        bundle=version * 64,
        model="tiny",
        version=version,
        state=state,
    )


def send(office: Office, *records: Record, enrolment: int = 1) -> Kept:
    return keep(office.state, "d1", enrolment, records, now_s=1.0)


def heard(office: Office) -> list[tuple[int, str]]:
    with office.state.write() as connection:
        return [(item.record.sequence, item.record.state) for item in hear(connection)]


def test_a_record_is_kept_once(enrolled: Office) -> None:
    assert send(enrolled, step(1, "check"), step(2, "download")) == Kept(stored=2, known=0)
    assert send(enrolled, step(2, "download"), step(3, "verify")) == Kept(stored=1, known=1)
    assert heard(enrolled) == [(1, "check"), (2, "download"), (3, "verify")]
    assert heard(enrolled) == []


def refusal(office: Office, *records: Record) -> tuple[int, int]:
    with pytest.raises(OutdatedError, match="of device d1: its newest record here is") as caught:
        send(office, *records)
    return caught.value.newest, caught.value.same


def test_another_record_under_a_number_that_was_used_is_refused(enrolled: Office) -> None:
    send(enrolled, step(1, "check"), step(2, "download"))
    assert refusal(enrolled, step(2, "commit")) == (2, 0)
    assert refusal(enrolled, step(1, "check"), step(2, "commit"), step(3, "idle")) == (2, 1)
    assert heard(enrolled) == [(1, "check"), (2, "download")]


def test_the_newest_report_again_is_a_retry_and_an_older_one_is_refused(enrolled: Office) -> None:
    first, second = (step(1, "check"), step(2, "download")), (step(3, "verify"),)
    for report in (first, first, second, second):
        send(enrolled, *report)
    assert refusal(enrolled, *first) == (3, 2)
    assert send(enrolled, *first, *second) == Kept(stored=0, known=3)
    assert heard(enrolled) == [(1, "check"), (2, "download"), (3, "verify")]


def test_a_number_that_was_left_out_does_not_come_later(enrolled: Office) -> None:
    send(enrolled, step(1, "check"), step(3, "verify"))
    assert refusal(enrolled, step(2, "commit")) == (3, 0)


def test_who_is_refused_keeps_nobody_else_from_being_heard(enrolled: Office) -> None:
    send(enrolled, step(1, "check"), step(2, "download"))
    batches = [
        Batch(device="d1", enrolment=1, records=records)
        for records in ((step(3, "verify"),), (step(1, "check"),), (step(4, "stage"),))
    ]
    kept = keep_all(enrolled.state, batches, now_s=1.0)
    assert [type(one) for one in kept] == [Kept, OutdatedError, Kept]
    assert [number for number, _ in heard(enrolled)] == [1, 2, 3, 4]


def test_a_batch_with_a_number_twice_is_kept_once(enrolled: Office) -> None:
    assert send(enrolled, step(1, "check"), step(1, "check")) == Kept(stored=1, known=1)


def test_numbers_begin_again_after_a_new_enrolment(enrolled: Office) -> None:
    send(enrolled, step(1, "check"))
    assert send(enrolled, step(1, "check"), enrolment=2) == Kept(stored=1, known=0)


def test_nobody_speaks_for_another_device(enrolled: Office) -> None:
    with pytest.raises(TrustError, match="sent a record of device 'd2'"):
        send(enrolled, step(1, "check"), step(2, "commit", device="d2"))
    assert heard(enrolled) == []


@pytest.mark.parametrize("sequence", [-1, 2**63])
def test_a_number_that_is_none_is_refused(enrolled: Office, sequence: int) -> None:
    with pytest.raises(InputError, match="record number"):
        send(enrolled, step(sequence, "check"))


def test_other_kinds_are_kept_but_not_heard(enrolled: Office) -> None:
    health = HealthRecord(device="d1", sequence=1, at_s=0, memory_free_mb=1, disk_free_mb=1)
    assert send(enrolled, health).stored == 1
    with enrolled.state.read() as connection:
        assert not has_unheard(connection)
    assert len(enrolled.watch.alerts()) == 0


def test_a_commit_is_what_a_device_runs(enrolled: Office) -> None:
    send(enrolled, step(1, "check"), step(2, "commit"), step(3, "idle"))
    heard(enrolled)
    (model,) = enrolled.devices.show("d1").models
    assert (model.running_version, model.state) == ("1", "idle")


def test_an_older_record_that_comes_late_changes_nothing(enrolled: Office) -> None:
    send(enrolled, step(5, "commit", version="2"))
    heard(enrolled)
    send(enrolled, step(2, "commit", version="1"), step(6, "idle", version="2"))
    heard(enrolled)
    assert enrolled.devices.show("d1").models[0].running_version == "2"


def stored_badly(office: Office, sequence: int) -> None:
    """A row as an older version took it: a model's name of 16,000 characters."""
    table = schema.records
    told = msgspec.structs.replace(step(sequence, "commit"), model="f" * 16_000)
    with office.state.write() as connection:
        connection.execute(
            update(table)
            .where(table.c.sequence == sequence)
            .values(content=msgspec.json.encode(told))
        )


def test_a_stored_record_that_is_none_holds_nothing_up(enrolled: Office) -> None:
    send(enrolled, step(1, "check"), step(2, "download"), step(3, "verify"))
    stored_badly(enrolled, 2)
    assert heard(enrolled) == [(1, "check"), (3, "verify")]
    assert heard(enrolled) == []
    assert enrolled.rollouts.tick() is False
    assert enrolled.watch.alerts() == ()


def test_a_device_is_known_by_so_many_models_and_no_more(enrolled: Office) -> None:
    told = [
        msgspec.structs.replace(step(number, "commit"), model=f"m{number}")
        for number in range(1, 3 * MODELS_OF_DEVICE)
    ]
    send(enrolled, *told[: MODELS_OF_DEVICE // 2])
    heard(enrolled)
    send(enrolled, *told[MODELS_OF_DEVICE // 2 :])
    heard(enrolled)
    last = len(told)
    send(enrolled, msgspec.structs.replace(step(last + 1, "idle"), model="m1"))
    heard(enrolled)
    table = schema.reports
    with enrolled.state.read() as connection:
        known = dict(connection.execute(select(table.c.model, table.c.state)).all())
    assert len(known) == MODELS_OF_DEVICE
    assert known["m1"] == "idle"
