"""The agent's side of a capture: a child's bytes go to the fleet, whole and in order."""

import asyncio
import re
from pathlib import Path

import pytest

from edgewright.device.agent.capture import Capture
from edgewright.device.agent.settings import Settings
from edgewright.errors import DeviceError, EdgewrightError, InputError, TransportError
from edgewright.testing import FakeClock
from edgewright.wire.remote_commands import COMMANDS, RemoteCommand

PATH = re.compile(rf"{COMMANDS}/7/upload\?at=(\d+)")


class Line:
    """A fleet that keeps parts, and is away as often as it is told."""

    def __init__(self, *, away: int = 0, refuses: str = "") -> None:
        self.file = b""
        self._away = away
        self._refuses = refuses

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        found = PATH.fullmatch(path)
        assert (method, bool(found)) == ("POST", True)
        if self._away:
            self._away -= 1
            raise TransportError("the line is cut")
        if self._refuses:
            raise InputError(self._refuses)
        assert found is not None
        assert int(found[1]) == len(self.file)
        self.file += body
        return b""


def run(script: str, line: Line, *, lasts_s: float = 30.0, patience_s: float = 30.0) -> str:
    command = ("/bin/sh", "-c", script, "sh")
    capture = Capture(command, line, clock=FakeClock(), patience_s=patience_s)
    order = RemoteCommand(number=7, kind="capture", lasts_s=lasts_s)
    return asyncio.run(capture.run(order)).text


def test_what_the_sensors_process_prints_is_sent() -> None:
    line = Line()
    assert run("printf 'a\\nb\\n'; echo $1", line) == "11 bytes in 30 s"
    assert line.file == b"a\nb\n30.000\n"


def test_a_long_capture_goes_in_parts_that_wait_for_a_fleet_that_is_away() -> None:
    line = Line(away=3)
    run("head -c 700000 /dev/zero", line)
    assert line.file == bytes(700_000)


@pytest.mark.parametrize(
    ("script", "line", "kind", "why"),
    [
        ("echo a; echo gone >&2; exit 4", Line(), DeviceError, "ended with code 4: gone"),
        ("exit 0", Line(), DeviceError, "nothing came from the sensor in 30 s"),
        ("echo a", Line(refuses="too much"), InputError, "too much"),
    ],
)
def test_a_capture_that_fails_says_why(
    script: str, line: Line, kind: type[EdgewrightError], why: str
) -> None:
    with pytest.raises(kind, match=why):
        run(script, line)


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    line = Line()
    with pytest.raises(DeviceError, match="did not end within"):
        run(f"echo $$ > {tmp_path}/pid; exec sleep 600", line, lasts_s=0.05, patience_s=0.2)
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_no_device_sends_what_its_sensors_say_unless_it_is_told_to() -> None:
    assert "capture" not in Settings().remote_commands
    assert Settings().capture == ""
