import pytest

from edgewright.fleet.rollout_terms import Acknowledged, Committed, Failed, Told, Validated
from edgewright.fleet.telling import event_of
from edgewright.telemetry import UpdateRecord, ValidationRecord


def told(state: str, reason: str = "") -> Told:
    return event_of(
        UpdateRecord(device="d", sequence=1, at_s=0, bundle="b", state=state, reason=reason)
    )


@pytest.mark.parametrize(
    "state", ["check", "download", "verify", "stage", "probe", "shadow", "activate", "probation"]
)
def test_a_step_on_the_way_acknowledges(state: str) -> None:
    assert told(state, "done: 3 bytes") == Acknowledged("d")


def test_a_commit_is_success() -> None:
    assert told("commit", "passed") == Committed("d")
    assert told("idle", "done") == Acknowledged("d")


def test_a_release_that_ran_already_is_success() -> None:
    assert told("idle", "kept: it runs here already") == Committed("d")


def test_what_blames_the_release_is_failure() -> None:
    assert told("idle", "refused: a signature is wrong") == Failed("d", "a signature is wrong")
    assert told("rollback", "refused: errors rose") == Failed("d", "refused: errors rose")
    assert told("failed", "no room") == Failed("d", "no room")


@pytest.mark.parametrize("event", ["failed", "timed_out", "cancelled", "crashed", "nothing"])
def test_what_blames_the_circumstances_is_left_to_the_deadline(event: str) -> None:
    assert told("idle", f"{event}: the link is down") == Acknowledged("d")


def test_a_verdict_is_told_as_it_is() -> None:
    record = ValidationRecord(
        device="d", sequence=1, at_s=0, model="m", bundle="b", outcome="INVALID", reason="busy"
    )
    assert event_of(record) == Validated("d", "INVALID", "busy")
