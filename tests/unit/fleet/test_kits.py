"""Kits on their way through the fleet: whole before the device hears of them, gone afterwards."""

from pathlib import Path

import pytest
from tests.unit.fleet.test_remote_commands import Device

from edgewright.errors import AbsentError, ConflictError, InputError, ResourceError
from edgewright.fleet.audit import read_audit
from edgewright.fleet.kits import MOST_BYTES
from edgewright.fleet.office import Office
from edgewright.fleet.remote_commands import OPEN_LIMIT, CommandOrder
from edgewright.testing import FakeClock
from edgewright.wire.remote_commands import COMMANDS, KIT_PART_BYTES

ORDER = CommandOrder(kind="measure", lifetime_s=60)


@pytest.fixture
def device(office: Office) -> Device:
    return Device(office)


def kits(office_home: Path) -> list[str]:
    return sorted(path.name for path in (office_home / "kits").glob("*"))


def ordered(office: Office, *parts: bytes) -> int:
    number, at = office.commands.order("d1", ORDER, by="ada").number, 0
    for part in parts:
        is_last = part is parts[-1]
        office.commands.add_to_kit("d1", number, part, at=at, is_last=is_last, by="ada")
        at += len(part)
    return number


def test_a_device_gets_a_kit_once_it_is_whole(office: Office, device: Device) -> None:
    number = ordered(office)
    assert (device.waits(), device.fetch()) == (0, [])
    add = office.commands.add_to_kit
    add("d1", number, bytes(KIT_PART_BYTES), at=0, is_last=False, by="ada")
    assert device.fetch() == []
    made = add("d1", number, b"end", at=KIT_PART_BYTES, is_last=True, by="ada")
    assert (made.status, device.waits()) == ("ordered", number)
    assert device.fetch() == [(number, "measure")]
    path = f"{COMMANDS}/{number}/kit"
    assert device.ask("GET", path) == bytes(KIT_PART_BYTES)
    assert device.ask("GET", path, at=str(KIT_PART_BYTES)) == b"end"
    assert device.ask("GET", path, at=str(KIT_PART_BYTES + 3)) == b""
    told = [e.what for e in read_audit(office.state, newest=9) if "kit" in e.what]
    assert told == ["remote command has its kit"]


def test_a_kit_is_gone_once_the_device_has_told(
    office: Office, device: Device, tmp_path: Path
) -> None:
    number = ordered(office, b"kit")
    device.fetch()
    device.report(number, "failed", "too slow")
    assert not list(tmp_path.rglob(f"kits/{number}"))
    with pytest.raises(AbsentError):
        device.ask("GET", f"{COMMANDS}/{number}/kit")


def test_kits_that_nobody_fetched_go_when_the_next_is_ordered(
    office: Office, device: Device, clock: FakeClock, tmp_path: Path
) -> None:
    old, young = ordered(office, b"old"), ordered(office, b"young")
    clock.advance(30)
    device.fetch()
    clock.advance(600)
    new = ordered(office, b"new")
    assert {path.name for path in tmp_path.rglob("kits/*")} == {str(old), str(young), str(new)}
    clock.advance(61)
    newest = ordered(office, b"newest")
    assert {path.name for path in tmp_path.rglob("kits/*")} == {str(new), str(newest)}


def test_another_devices_kit_is_not_shown(office: Office, device: Device) -> None:
    number = ordered(office, b"kit")
    other = Device(office, "d2")
    device.fetch()
    with pytest.raises(AbsentError):
        other.ask("GET", f"{COMMANDS}/{number}/kit")


def test_parts_come_in_order_and_are_not_kept_twice(office: Office, device: Device) -> None:
    number = office.commands.order("d1", ORDER, by="ada").number

    def add(content: bytes, at: int, *, is_last: bool = False) -> None:
        office.commands.add_to_kit("d1", number, content, at=at, is_last=is_last, by="ada")

    add(b"abc", 0)
    add(b"abc", 0)
    with pytest.raises(ConflictError, match="expected from 3 on"):
        add(b"x", 4)
    for content in (b"", bytes(KIT_PART_BYTES + 1)):
        with pytest.raises(InputError, match="a part of"):
            add(content, 3)
    with pytest.raises(InputError, match="a kit of more than"):
        add(b"x", MOST_BYTES)
    add(b"def", 3, is_last=True)
    with pytest.raises(ConflictError, match="waits for no kit, it is ordered"):
        add(b"ghi", 6)
    device.fetch()
    assert device.ask("GET", f"{COMMANDS}/{number}/kit") == b"abcdef"


def test_a_kit_that_is_never_whole_is_not_fetched_and_expires(
    office: Office, device: Device, clock: FakeClock
) -> None:
    number = office.commands.order("d1", ORDER, by="ada").number
    clock.advance(61)
    assert device.fetch() == []
    assert office.commands.show("d1", number).status == "expired"
    with pytest.raises(ConflictError, match="it is expired"):
        office.commands.add_to_kit("d1", number, b"x", at=0, is_last=True, by="ada")


def test_kits_leave_some_of_the_disk(
    office: Office, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = office.commands.order("d1", ORDER, by="ada").number
    monkeypatch.setattr("edgewright.fleet.kits.SPARED_BYTES", 1 << 60)
    with pytest.raises(ResourceError, match="MiB left"):
        office.commands.add_to_kit("d1", number, b"x", at=0, is_last=True, by="ada")
    assert office.commands.show("d1", number).status == "preparing"


def test_kits_that_are_prepared_count_as_commands_that_wait(office: Office, device: Device) -> None:
    for _ in range(OPEN_LIMIT):
        office.commands.order("d1", ORDER, by="ada")
    with pytest.raises(InputError, match="wait for d1 already"):
        office.commands.order("d1", CommandOrder(kind="probe"), by="ada")
