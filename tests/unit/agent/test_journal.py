from pathlib import Path

import pytest

from edgewright.device.agent import Journal, Numbers, Outbox, Progress, Recorder, State
from edgewright.device.agent.journal import KEEP, TRIM_AT
from edgewright.device.agent.progress import Release
from edgewright.errors import InputError
from edgewright.stores import Log


def step(number: int, *, model: str = "m", state: State = State.PROBE) -> Progress:
    release = Release(model=model, bundle_id="a" * 64, version=str(number))
    return Progress(model=model, state=state, release=release, at_s=number, event="done")


def recorder(folder: Path) -> Recorder:
    journal = Journal(Log(folder / "journal.log"))
    return Recorder(
        journal, Outbox(Log(folder / "outbox.log"), Numbers(Log(folder / "n")), device="d1")
    )


def test_the_newest_line_of_a_model_is_where_it_stands(tmp_path: Path) -> None:
    journal = Journal(Log(tmp_path / "j"))
    for number in range(3):
        journal.write(step(number))
    journal.write(step(9, model="other"))
    again = Journal(Log(tmp_path / "j"))
    assert again.progress("m") == step(2)
    assert set(again.models()) == {"m", "other"}
    assert again.progress("new") == Progress(model="new")


def test_a_long_journal_is_trimmed_and_no_model_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(Log(tmp_path / "j"))
    journal.write(step(0, model="quiet"))
    for number in range(TRIM_AT + 50):
        journal.write(step(number))
    again = Journal(Log(tmp_path / "j"))
    assert KEEP <= len(again.lines) <= TRIM_AT
    assert again.progress("quiet") == step(0, model="quiet")
    assert again.progress("m") == step(TRIM_AT + 49)


def test_a_line_of_a_newer_agent_is_told(tmp_path: Path) -> None:
    Log(tmp_path / "j").append(b'{"model": "m", "state": "levitate"}')
    with pytest.raises(InputError, match="newer agent"):
        Journal(Log(tmp_path / "j"))


def test_every_step_reaches_the_outbox_even_when_a_cut_came_between(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    first.write(step(1))
    first.journal.write(step(2))
    again = recorder(tmp_path)
    assert [record.version for record in again.outbox.waiting()] == ["1", "2"]
    assert len(recorder(tmp_path).outbox) == 2


def test_delivered_records_are_not_sent_again_by_the_same_process(tmp_path: Path) -> None:
    kept = recorder(tmp_path)
    kept.write(step(1))
    kept.write(step(2))
    kept.outbox.delivered(kept.outbox.waiting()[-1].sequence)
    assert kept.outbox.waiting() == ()
    kept.write(step(3))
    assert [record.sequence for record in kept.outbox.waiting()] == [3]


def test_numbers_of_records_go_on_after_a_start(tmp_path: Path) -> None:
    for number in range(4):
        kept = recorder(tmp_path)
        kept.write(step(number))
        kept.outbox.delivered(number + 1)
    assert recorder(tmp_path).outbox.waiting()[-1].sequence == 4


def test_an_outbox_that_nobody_empties_stays_bounded(tmp_path: Path) -> None:
    outbox = Outbox(Log(tmp_path / "o"), Numbers(Log(tmp_path / "n")), device="d1")
    journal = Journal(Log(tmp_path / "j"))
    line = journal.write(step(1))
    for _ in range(2100):
        outbox.add_step(line)
    assert len(outbox) <= 2000
    assert outbox.waiting()[0].sequence > 1


def test_a_steps_record_says_what_happened(tmp_path: Path) -> None:
    kept = recorder(tmp_path)
    kept.write(step(1))
    record = kept.outbox.waiting()[0]
    assert (record.model, record.state, record.reason) == ("m", "probe", "done")
    assert record.bundle == "a" * 64


def test_whoever_waits_is_told_of_every_step(tmp_path: Path) -> None:
    kept, seen = recorder(tmp_path), []
    kept.on_step = lambda: seen.append(len(kept.outbox))
    kept.write(step(1))
    assert seen == [1]
