from pathlib import Path

import msgspec
import pytest

from edgewright.errors import AbsentError, InputError
from edgewright.fleet.audit import read_audit
from edgewright.fleet.desired import look_up
from edgewright.fleet.device_api.commands import CommandsApi
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.remote_commands import CommandOrder
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Request
from edgewright.wire.device_api import Desired
from edgewright.wire.remote_commands import (
    COMMANDS,
    KINDS,
    CommandReport,
    Outcome,
    RemoteCommands,
)


class Device:
    """A device's requests, without a network."""

    def __init__(self, office: Office, name: str = "d1") -> None:
        self.office = office
        token = office.devices.create_token(TokenOrder(), by="ada").token
        self.secret = office.devices.enrol(token, name, {})
        self._api = CommandsApi(office.desk_commands)

    def waits(self) -> int:
        poll = look_up(self.office.state, self.secret)
        assert poll is not None
        return msgspec.json.decode(poll.body, type=Desired).command

    def ask(self, method: str, path: str, body: bytes = b"", **query: str) -> bytes | None:
        poll = look_up(self.office.state, self.secret)
        assert poll is not None
        request = Request(method=method, path=path, query=query, body=body)
        answer = self._api.answer(request, poll)
        return None if answer is None else answer.body

    def fetch(self) -> list[tuple[int, str]]:
        body = self.ask("GET", COMMANDS)
        commands = msgspec.json.decode(body or b"", type=RemoteCommands).commands
        return [(command.number, command.kind) for command in commands]

    def report(self, number: int, outcome: Outcome, text: str = "") -> None:
        body = msgspec.json.encode(CommandReport(outcome=outcome, text=text))
        self.ask("POST", f"{COMMANDS}/{number}/report", body)


@pytest.fixture
def device(office: Office) -> Device:
    return Device(office)


def deeds(office: Office) -> list[tuple[str, str]]:
    return [
        (entry.who, entry.what.removeprefix("remote command "))
        for entry in reversed(read_audit(office.state))
        if entry.what.startswith("remote command ")
    ]


def test_a_command_is_ordered_fetched_once_done_and_told(office: Office, device: Device) -> None:
    assert device.waits() == 0
    made = office.commands.order("d1", CommandOrder(kind="support-bundle"), by="ada")
    assert (made.status, made.ordered_by, device.waits()) == ("ordered", "ada", made.number)
    assert device.fetch() == [(made.number, "support-bundle")]
    assert (device.fetch(), device.waits()) == ([], 0)
    device.ask("POST", f"{COMMANDS}/{made.number}/upload", b"logs")
    device.report(made.number, "done", "1 part")
    told = office.commands.show("d1", made.number)
    assert (told.status, told.text, told.upload_bytes) == ("done", "1 part", 4)
    assert office.commands.read_upload("d1", made.number, by="bert") == b"logs"
    assert deeds(office) == [
        ("ada", "ordered"), ("device d1", "fetched"), ("device d1", "sent its file"),
        ("device d1", "done"), ("bert", "file read"),
    ]  # fmt: skip


def test_a_command_wakes_the_devices_poll(office: Office, device: Device) -> None:
    before = office.devices.newest_revision()
    office.commands.order("d1", CommandOrder(kind="probe"), by="ada")
    assert office.devices.changed_since(before) == ("d1",)


def test_a_command_is_over_when_its_time_is(
    office: Office, device: Device, clock: FakeClock
) -> None:
    made = office.commands.order("d1", CommandOrder(kind="probe", lifetime_s=60), by="ada")
    clock.advance(60)
    assert office.commands.show("d1", made.number).status == "expired"
    assert device.fetch() == []
    assert deeds(office)[-1] == ("device d1", "expired")
    late = office.commands.order("d1", CommandOrder(kind="probe", lifetime_s=60), by="ada")
    device.fetch()
    clock.advance(661)
    assert office.commands.show("d1", late.number).status == "expired"
    with pytest.raises(AbsentError, match="none that d1 has to answer"):
        device.report(late.number, "done")


def test_a_device_that_was_wiped_does_not_do_what_the_one_before_was_told(
    office: Office, device: Device
) -> None:
    office.commands.order("d1", CommandOrder(kind="restart-server"), by="ada")
    token = office.devices.create_token(TokenOrder(device="d1"), by="ada").token
    device.secret = office.devices.enrol(token, "d1", {})
    assert device.fetch() == []


def test_a_device_answers_its_own_commands_once(office: Office, device: Device) -> None:
    other = Device(office, "d2")
    made = office.commands.order("d1", CommandOrder(kind="probe"), by="ada")
    for asking in (device, other):
        with pytest.raises(AbsentError):
            asking.report(made.number, "done")
    assert other.fetch() == []
    device.fetch()
    with pytest.raises(AbsentError):
        other.report(made.number, "done")
    with pytest.raises(AbsentError):
        other.ask("POST", f"{COMMANDS}/{made.number}/upload", b"forged")
    device.report(made.number, "forbidden", "not allowed")
    with pytest.raises(AbsentError):
        device.report(made.number, "done")
    assert office.commands.show("d1", made.number).status == "forbidden"


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (CommandOrder(kind="shell"), "no remote command; there are restart-server"),
        (CommandOrder(kind="prob"), "did you mean 'probe'"),
        (CommandOrder(kind="probe", lifetime_s=0), "at most a day"),
        (CommandOrder(kind="probe", lifetime_s=1e9), "at most a day"),
        (CommandOrder(kind="capture", lifetime_s=601), "at most 600 s"),
        (CommandOrder(kind="probe", model="../x"), "expected 1 to 63"),
    ],
)
def test_what_is_not_on_the_list_is_refused(
    office: Office, device: Device, order: CommandOrder, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        office.commands.order("d1", order, by="ada")
    assert device.fetch() == []


def test_files_and_waiting_commands_have_limits(
    office: Office, device: Device, tmp_path: Path
) -> None:
    numbers = []
    for _ in range(7):
        made = office.commands.order("d1", CommandOrder(kind="support-bundle"), by="ada")
        numbers.append(made.number)
        device.fetch()
        device.ask("POST", f"{COMMANDS}/{made.number}/upload", b"logs")
        device.report(made.number, "done")
    for number in numbers[:2]:
        with pytest.raises(AbsentError, match="has no file"):
            office.commands.read_upload("d1", number, by="ada")
    assert len(list((tmp_path / "home" / "uploads").iterdir())) == 5
    last = office.commands.order("d1", CommandOrder(kind="support-bundle"), by="ada")
    device.fetch()
    for body in (b"", b"x" * ((1 << 20) + 1)):
        with pytest.raises(InputError, match="are taken"):
            device.ask("POST", f"{COMMANDS}/{last.number}/upload", body)
    for _ in range(20):
        office.commands.order("d1", CommandOrder(kind=KINDS[0]), by="ada")
    with pytest.raises(InputError, match="20 commands wait"):
        office.commands.order("d1", CommandOrder(kind=KINDS[0]), by="ada")


@pytest.mark.usefixtures("device")
def test_devices_that_are_not_here_take_no_command(office: Office) -> None:
    office.devices.revoke("d1", by="ada")
    for name in ("d1", "nobody"):
        with pytest.raises(AbsentError, match="no device"):
            office.commands.order(name, CommandOrder(kind="probe"), by="ada")
        with pytest.raises(AbsentError):
            office.commands.list(name)


def captured(office: Office, device: Device) -> tuple[int, str]:
    """A capture that the device has begun, and where its parts go."""
    number = office.commands.order(
        "d1", CommandOrder(kind="capture", lifetime_s=60), by="ada"
    ).number
    device.fetch()
    return number, f"{COMMANDS}/{number}/upload"


def test_a_capture_grows_part_by_part_and_is_read_along(office: Office, device: Device) -> None:
    number, path = captured(office, device)
    device.ask("POST", path, b"one ")
    assert office.commands.read_upload("d1", number, by="ada") == b"one "
    device.ask("POST", path, b"two ", at="4")
    device.ask("POST", path, b"two ", at="4")  # its answer was lost
    assert office.commands.read_upload("d1", number, by="ada", after=4) == b"two "
    assert office.commands.read_upload("d1", number, by="bert", after=4) == b"two "
    device.report(number, "done")
    assert office.commands.read_upload("d1", number, by="ada") == b"one two "
    assert deeds(office) == [
        ("ada", "ordered"), ("device d1", "fetched"),
        ("device d1", "began to send what it captures"), ("ada", "file read"),
        ("bert", "file read"), ("device d1", "done"), ("ada", "file read"),
    ]  # fmt: skip


def test_what_a_cut_left_of_a_part_is_written_over(
    office: Office, device: Device, tmp_path: Path
) -> None:
    number, path = captured(office, device)
    device.ask("POST", path, b"one ")
    with (tmp_path / "home" / "uploads" / str(number)).open("ab") as file:
        file.write(b"tw")
    assert office.commands.read_upload("d1", number, by="ada") == b"one "
    device.ask("POST", path, b"two ", at="4")
    assert office.commands.read_upload("d1", number, by="ada") == b"one two "


def test_parts_that_do_not_fit_are_refused(
    office: Office, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewright.fleet.desk_commands.CAPTURE_MOST_BYTES", 6)
    number, path = captured(office, device)
    device.ask("POST", path, b"one ")
    for at, body, why in (("5", b"two ", "expected from 4 on"), ("4", b"two ", "at most 6 are")):
        with pytest.raises(InputError, match=why):
            device.ask("POST", path, body, at=at)
    assert device.ask("POST", path, b"x", at="-1") is None
    assert office.commands.read_upload("d1", number, by="ada") == b"one "


def test_a_file_of_another_command_has_no_parts(office: Office, device: Device) -> None:
    number = office.commands.order("d1", CommandOrder(kind="support-bundle"), by="ada").number
    device.fetch()
    path = f"{COMMANDS}/{number}/upload"
    with pytest.raises(InputError, match="has its file already"):
        device.ask("POST", path, b"logs", at="4")
    device.ask("POST", path, b"logs")
    with pytest.raises(InputError, match="has its file already"):
        device.ask("POST", path, b"more", at="4")


def test_there_is_no_other_route(device: Device) -> None:
    assert device.ask("POST", COMMANDS) is None
    assert device.ask("GET", f"{COMMANDS}/1/report") is None
    assert device.ask("POST", f"{COMMANDS}/1/shell") is None
