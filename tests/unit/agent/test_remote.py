import asyncio

import msgspec
import pytest

from edgewright.device.agent.remote import Deed, Done, RemoteHands
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.testing import FakeClock
from edgewright.wire.device_api import Desired
from edgewright.wire.remote_commands import COMMANDS, CommandReport, RemoteCommand, RemoteCommands


class Line:
    """A fleet that gives out commands once and keeps what it is told."""

    def __init__(self, *commands: RemoteCommand) -> None:
        self._commands = commands
        self.told: list[tuple[str, CommandReport | bytes]] = []
        self.refuses_files = False
        self.untold: list[str] = []
        """Reports that are not taken, once for each time they are named."""

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        if method == "GET":
            given, self._commands = self._commands, ()
            return msgspec.json.encode(RemoteCommands(commands=given))
        what = path.removeprefix(f"{COMMANDS}/")
        if what.endswith("/upload"):
            if self.refuses_files:
                raise InputError("too large")
            self.told.append((what, body))
        elif what in self.untold:
            self.untold.remove(what)
            raise TransportError("the line is cut")
        else:
            self.told.append((what, msgspec.json.decode(body, type=CommandReport)))
        return b""


def order(number: int, kind: str, *, lasts_s: float = 60.0) -> RemoteCommand:
    return RemoteCommand(number=number, kind=kind, lasts_s=lasts_s)


def played(line: Line, clock: FakeClock | None = None, **deeds: Deed) -> Line:
    known = {name.replace("_", "-"): deed for name, deed in deeds.items()}
    hands = RemoteHands(
        line, known, allowed=["probe", "support-bundle"], clock=clock or FakeClock()
    )
    asyncio.run(hands.work())
    return line


async def fine(_: RemoteCommand) -> Done:
    return Done(text="fine")


def test_commands_are_done_in_order_and_told() -> None:
    async def gather(_: RemoteCommand) -> Done:
        return Done(text="2 parts", upload=b"logs")

    line = Line(order(1, "probe"), order(2, "support-bundle"))
    assert played(line, probe=fine, support_bundle=gather).told == [
        ("1/report", CommandReport(outcome="done", text="fine")),
        ("2/upload", b"logs"),
        ("2/report", CommandReport(outcome="done", text="2 parts")),
    ]


def test_what_the_device_forbids_or_does_not_know_is_not_done() -> None:
    async def never(_: RemoteCommand) -> Done:
        pytest.fail("it was done")

    line = Line(order(1, "restart-server"), order(2, "rm -rf /"))
    told = [report for _, report in played(line, restart_server=never).told]
    assert told == [
        CommandReport(
            outcome="forbidden", text="restart-server is not allowed by this device's agent.toml"
        ),
        CommandReport(outcome="forbidden", text="rm -rf / is not known to this agent"),
    ]


def test_a_deed_that_fails_is_told_and_does_not_stop_the_next_one() -> None:
    async def fails(_: RemoteCommand) -> Done:
        raise DeviceError("output 3 differs")

    line = Line(order(1, "probe"), order(2, "support-bundle"))
    reports = [told for _, told in played(line, probe=fails, support_bundle=fine).told]
    assert reports == [
        CommandReport(outcome="failed", text="output 3 differs"),
        CommandReport(outcome="done", text="fine"),
    ]


def test_a_report_that_is_not_taken_does_not_stop_the_next_command() -> None:
    line = Line(order(1, "probe"), order(2, "probe"), order(3, "probe"))
    line.untold = ["1/report", "1/report", "2/report"]
    assert [what for what, _ in played(line, probe=fine).told] == ["2/report", "3/report"]
    assert line.untold == []


def test_a_file_that_is_not_taken_is_a_failure() -> None:
    async def gather(_: RemoteCommand) -> Done:
        return Done(upload=b"logs")

    line = Line(order(1, "support-bundle"))
    line.refuses_files = True
    ((_, report),) = played(line, support_bundle=gather).told
    assert report == CommandReport(outcome="failed", text="too large")


def test_a_command_whose_time_is_over_is_not_begun() -> None:
    clock = FakeClock()

    async def slow(_: RemoteCommand) -> Done:
        clock.advance(30)
        return Done()

    line = Line(order(1, "probe"), order(2, "probe", lasts_s=20))
    (_, last) = played(line, clock, probe=slow).told
    assert last[1] == CommandReport(
        outcome="failed", text="its time was over before it was its turn"
    )


def test_a_poll_begins_the_work_once_and_a_silent_fleet_is_no_fault() -> None:
    class Silent(Line):
        asked = 0

        async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
            self.asked += 1
            await asyncio.sleep(0)
            raise TransportError("no answer")

    async def story() -> int:
        line = Silent()
        hands = RemoteHands(line, {}, allowed=[], clock=FakeClock())
        hands.look(Desired())
        hands.look(Desired(command=3))
        hands.look(Desired(command=3))
        for _ in range(5):
            await asyncio.sleep(0)
        await hands.close()
        return line.asked

    assert asyncio.run(story()) == 1
