"""Record numbers never come twice, whatever a disk loses of the outbox."""

from pathlib import Path

import pytest

from edgewright.device.agent import Numbers, Outbox
from edgewright.device.agent.numbers import BLOCK, KEEP
from edgewright.errors import InputError
from edgewright.stores import Log
from edgewright.telemetry import HealthRecord, Record


def outbox(folder: Path) -> Outbox:
    return Outbox(Log(folder / "outbox"), Numbers(Log(folder / "numbers")), device="d1")


def health(device: str, sequence: int) -> Record:
    return HealthRecord(
        device=device, sequence=sequence, at_s=0.0, memory_free_mb=1.0, disk_free_mb=1.0
    )


def fill(folder: Path, count: int) -> list[int]:
    kept = outbox(folder)
    for _ in range(count):
        kept.add(health)
    return [record.sequence for record in kept.waiting()]


def test_numbers_have_no_gap_while_nothing_is_lost(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    assert fill(tmp_path, 2) == [1, 2, 3, 4, 5]


def lose_all(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_the_last_line(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("lose", [lose_all, empty, flip_the_last_line])
@pytest.mark.parametrize("count", [1, 7, BLOCK + 5])
def test_a_lost_outbox_goes_on_above_every_number_that_was_used(
    tmp_path: Path, lose: object, count: int
) -> None:
    fill(tmp_path, count)
    lose(tmp_path / "outbox")  # type: ignore[operator]  # one of the functions above
    kept = outbox(tmp_path)
    before = len(kept)
    kept.add(health)
    fresh = [record.sequence for record in kept.waiting()][before:]
    assert all(number > count for number in fresh)


def test_an_outbox_restored_from_long_ago_goes_on_above_as_well(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    old = (tmp_path / "outbox").read_bytes()
    fill(tmp_path, BLOCK)
    (tmp_path / "outbox").write_bytes(old)
    assert fill(tmp_path, 1)[-1] > BLOCK + 3


def test_reservations_stay_few_lines(tmp_path: Path) -> None:
    numbers = Numbers(Log(tmp_path / "n"))
    for block in range(2 * KEEP):
        numbers.reserve(block * BLOCK + 1)
    again = Log(tmp_path / "n")
    assert len(again.entries) <= KEEP
    assert Numbers(again).reserved == 2 * KEEP * BLOCK


def test_a_line_that_is_no_number_is_told(tmp_path: Path) -> None:
    Log(tmp_path / "n").append(b"many")
    with pytest.raises(InputError, match="newer agent"):
        Numbers(Log(tmp_path / "n"))
