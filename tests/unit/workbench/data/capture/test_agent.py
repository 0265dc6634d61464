"""A recording that a device's agent makes, as it comes through the fleet."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgewright.errors import DeviceError, EdgewrightError, InputError, TransportError
from edgewright.testing import FakeClock
from edgewright.workbench.data import ChannelMapping, SourceMapping
from edgewright.workbench.data.capture import CaptureOrder, CaptureStatus, LiveCheck, record
from edgewright.workbench.data.capture.agent import AgentSource, Standing

ACC = tuple(ChannelMapping(column=f"a{axis}", name=f"acc_{axis}", unit="g") for axis in "xyz")


class Errand:
    """A device whose file grows by a part each time somebody asks how it stands."""

    device = "press-7"

    def __init__(self, parts: Sequence[bytes], end: str = "done", text: str = "") -> None:
        self._parts = list(parts)
        self._file = b""
        self._end = end
        self._text = text
        self.began = 0

    def begin(self) -> None:
        self.began += 1

    def standing(self) -> Standing:
        assert self.began == 1
        is_over = not self._parts
        self._file += self._parts.pop(0) if self._parts else b""
        status = self._end if is_over else "fetched" if self._file else "ordered"
        return Standing(status=status, text=self._text, size_bytes=len(self._file))  # type: ignore[arg-type]

    def read(self, after: int) -> bytes:
        return self._file[after:]


def line(at_s: float, payload: str = "0,0,1") -> bytes:
    return b'{"tst":%.3f,"topic":"imu","payload":"%s"}\n' % (at_s, payload.encode())


def run(path: Path, errand: Errand) -> tuple[CaptureStatus, LiveCheck]:
    check = LiveCheck(SourceMapping(channels=ACC), expected_hz=50.0)
    order = CaptureOrder(path=path, facts={"subject": "ann"}, columns=("ax", "ay", "az"))
    clock = FakeClock()
    source = AgentSource(errand, clock=clock)
    recording = record(source, order, check, clock=clock, on_status=lambda *_: None)
    return asyncio.run(recording), check


def test_the_devices_own_times_are_kept_and_checked(tmp_path: Path) -> None:
    lines = b"".join(line(1000 + n / 50 + (n > 60)) for n in range(120))
    cut = [b"", lines[:1000], b"", lines[1000:1033], lines[1033:]]  # wherever a part ends
    status, check = run(tmp_path / "c.jsonl", Errand(cut))
    assert (status.samples, status.gaps, status.longest_gap_s) == (120, 1, 1.02)
    assert "1 holes, the longest 1.02 s" in check.warnings()
    first, *_, last = (tmp_path / "c.jsonl").read_text().splitlines()
    assert first.startswith('{"tst":1000.0,"topic":"imu","payload":{"ax"')
    assert last.startswith('{"tst":1003.38,')


@pytest.mark.parametrize(
    ("end", "text", "kind", "why"),
    [
        ("forbidden", "not allowed", InputError, "press-7 refuses: not allowed"),
        ("failed", "serial port /dev/x: gone", DeviceError, "press-7: serial port /dev/x: gone"),
        ("expired", "", TransportError, "did not come for the order"),
    ],
)
def test_a_device_that_does_not_do_it_is_named_and_leaves_no_file(
    tmp_path: Path, end: str, text: str, kind: type[EdgewrightError], why: str
) -> None:
    with pytest.raises(kind, match=why):
        run(tmp_path / "c.jsonl", Errand([b"", b""], end, text))
    assert list(tmp_path.iterdir()) == []


def test_what_came_before_a_failure_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="unplugged"):
        run(tmp_path / "c.jsonl", Errand([line(1.0), line(1.02)], "failed", "unplugged"))
    assert (tmp_path / "c.jsonl").read_bytes().count(b"\n") == 2


def test_what_is_no_message_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no message"):
        run(tmp_path / "c.jsonl", Errand([b"[1, 2]\n"]))
