from edgewright.fleet.audit import read_audit
from edgewright.fleet.office import Office
from edgewright.fleet.refusals import KINDS, Refusal
from edgewright.testing import FakeClock


def refuse(office: Office, request: str, *, status: int = 401) -> None:
    refusal = Refusal(door="devices", who="10.0.0.9", request=request, status=status)
    if not office.refusals.counts_only(refusal):
        office.refusals.note(refusal)


def written(office: Office) -> list[tuple[str, str]]:
    return [(entry.subject, entry.detail) for entry in reversed(read_audit(office.state))]


def test_the_first_is_written_and_the_rest_are_counted(office: Office, clock: FakeClock) -> None:
    office.refusals.settle()
    for _ in range(3):
        refuse(office, "GET /device/v1/desired")
    refuse(office, "GET /device/v1/desired", status=403)
    assert [subject for subject, _ in written(office)] == [
        "401 GET /device/v1/desired",
        "403 GET /device/v1/desired",
    ]
    clock.advance(61)
    office.refusals.settle()
    assert written(office)[2:] == [("401 GET /device/v1/desired", "2 times more")]
    refuse(office, "GET /device/v1/desired")
    assert len(written(office)) == 4


def test_an_attacker_who_varies_the_path_cannot_fill_the_disk(office: Office) -> None:
    for number in range(5 * KINDS):
        refuse(office, f"GET /path-{number}")
        refuse(office, f"GET /device/v1/bundles/{number:064x}")
    assert len(written(office)) <= KINDS + 1


def test_what_the_transport_refused_is_told_once(office: Office) -> None:
    office.refusals.settle({413: 2})
    office.refusals.settle({413: 2, 431: 1})
    assert written(office) == [
        ("413 not HTTP, or too large", "2 times"),
        ("431 not HTTP, or too large", "1 times"),
    ]
