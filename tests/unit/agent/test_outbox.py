"""What a device sends again is never older than what its fleet has, wherever it was cut off."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.device.agent import Journal, Numbers, Outbox, Progress, Recorder, State, outbox
from edgewright.device.agent.ports import OutOfStepError
from edgewright.device.agent.progress import Release
from edgewright.device.agent.reporter import Reporter
from edgewright.errors import TransportError
from edgewright.stores import Log
from edgewright.telemetry import HealthRecord, Record
from edgewright.testing import FakeClock
from edgewright.testing.fleet_port import FakeFleet


class Strict(FakeFleet):
    """A fleet that takes records by the rule of `fleet.telemetry`."""

    def __init__(self) -> None:
        super().__init__()
        self.has: dict[int, Record] = {}
        self.refused = 0

    async def send(self, records: tuple[Record, ...]) -> None:
        newest = max(self.has, default=0)
        same = 0
        for record in records:
            if self.has.get(record.sequence) != record:
                break
            same = record.sequence
        clashes = any(self.has.get(one.sequence, one) != one for one in records)
        if clashes or records[-1].sequence < newest:
            self.refused += 1
            raise OutOfStepError("refused", newest=newest, same=same)
        self.has |= {record.sequence: record for record in records}
        await super().send(records)


class Device:
    """An outbox on a disk, that can be started again."""

    def __init__(self, folder: Path, fleet: FakeFleet) -> None:
        self.folder, self.fleet = folder, fleet
        self.start()

    def start(self) -> None:
        self.outbox = Outbox(
            Log(self.folder / "outbox"), Numbers(Log(self.folder / "numbers")), device="d1"
        )

    def add(self, count: int = 1, *, mb: float = 1.0) -> None:
        for _ in range(count):
            self.outbox.add(health(mb))

    def send(self, *, is_noted: bool = True) -> None:
        """One batch; a cut may come before it is noted that it went."""
        if records := self.outbox.waiting():
            asyncio.run(self.fleet.send(records))
            if is_noted:
                self.outbox.delivered(records[-1].sequence)

    def send_all(self) -> None:
        asyncio.run(Reporter(self.outbox, self.fleet, FakeClock()).send_all())


def health(mb: float) -> Callable[[str, int], Record]:
    def make(device: str, sequence: int) -> Record:
        return HealthRecord(
            device=device, sequence=sequence, at_s=0.0, memory_free_mb=mb, disk_free_mb=1.0
        )

    return make


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path, Strict())


@contextlib.contextmanager
def small() -> Iterator[None]:
    """With limits that a few records reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "BATCH", 5)
        patch.setattr(outbox, "KEEP", 24)
        yield


STEPS = st.lists(
    st.one_of(
        st.integers(1, 8).map(lambda n: ("add", n)),
        st.sampled_from([("send", 0), ("send", 0), ("unnoted", 0), ("start", 0)]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_cut_makes_an_honest_device_send_an_old_report(steps: Iterable[tuple[str, int]]) -> None:
    with small(), tempfile.TemporaryDirectory() as folder:
        device = Device(Path(folder), fleet := Strict())
        for what, count in steps:
            if what == "add":
                device.add(count)
            elif what == "start":
                device.start()
            else:
                device.send(is_noted=what == "send")
                if what == "unnoted":
                    device.start()
        device.send_all()
        assert fleet.refused == 0
        assert len(device.outbox) == 0


def test_a_batch_whose_answer_was_lost_is_sent_again_as_it_was(device: Device) -> None:
    device.add(3)
    device.fleet.error = TransportError("cut")
    with pytest.raises(TransportError):
        device.send_all()
    device.fleet.error = None
    device.send(is_noted=False)
    device.send_all()
    assert [record.sequence for record in device.fleet.records] == [1, 2, 3, 1, 2, 3]


def test_an_older_copy_of_a_disk_goes_on_above_what_the_fleet_has(device: Device) -> None:
    device.add(3)
    device.send_all()
    copy = {path: path.read_bytes() for path in device.folder.iterdir()}
    device.add(4)
    device.send_all()
    for path, content in copy.items():
        path.write_bytes(content)
    device.start()
    device.add(2, mb=2.0)
    device.send_all()
    assert isinstance(device.fleet, Strict)
    assert device.fleet.refused == 1
    assert sorted(device.fleet.has) == list(range(1, 10))
    assert [device.fleet.has[n].memory_free_mb for n in (8, 9)] == [2.0, 2.0]  # type: ignore[union-attr]  # health
    device.start()
    device.add(1)
    device.send_all()
    assert device.fleet.refused == 1
    assert max(device.fleet.has) == 10


def test_a_fleet_that_never_agrees_is_not_asked_without_end(device: Device) -> None:
    class Never(Strict):
        async def send(self, records: tuple[Record, ...]) -> None:
            self.refused += 1
            raise OutOfStepError("refused", newest=records[-1].sequence, same=0)

    device.fleet = never = Never()
    device.add(2)
    with pytest.raises(OutOfStepError):
        device.send_all()
    assert never.refused == 2
    assert len(device.outbox) == 2


def test_steps_are_not_told_anew_after_many_numbers_and_a_start(tmp_path: Path) -> None:
    def recorder() -> Recorder:
        journal = Journal(Log(tmp_path / "journal"))
        mailbox = Outbox(Log(tmp_path / "o"), Numbers(Log(tmp_path / "n")), device="d1")
        return Recorder(journal, mailbox)

    kept = recorder()
    release = Release(model="m", bundle_id="a" * 64, version="1")
    kept.write(Progress(model="m", state=State.PROBE, release=release, event="done"))
    with small():
        for _ in range(12):
            kept.outbox.add(health(1.0))
            kept.outbox.delivered(kept.outbox.waiting()[-1].sequence)
    again = recorder().outbox.waiting()
    assert {type(record) for record in again} == {HealthRecord}
