"""A capture from made-up sources: what is written, what is said, what is kept."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.clock import SystemClock
from edgewright.errors import InputError, TransportError
from edgewright.testing import FakeClock
from edgewright.workbench.data import ChannelMapping, SourceMapping, read_source
from edgewright.workbench.data.capture import (
    CaptureOrder,
    CaptureStatus,
    LiveCheck,
    Message,
    record,
)

ACC = tuple(ChannelMapping(column=f"a{axis}", name=f"acc_{axis}", unit="g") for axis in "xyz")
MAPPING = SourceMapping(channels=ACC)


class _Device:
    """Sends some payloads 20 ms apart, then ends as told."""

    def __init__(self, clock: FakeClock, payloads: list[Any], *, end: str = "done") -> None:
        self._clock = clock
        self._payloads = payloads
        self._end = end

    async def messages(self) -> AsyncGenerator[Message, None]:
        for payload in self._payloads:
            self._clock.advance(0.02)
            yield Message(topic="test", payload=payload)
        if self._end == "gone":
            raise TransportError("the device is gone")
        if self._end == "silent":
            await asyncio.sleep(60)


def run(
    path: Path,
    payloads: list[Any],
    *,
    end: str = "done",
    seconds: float | None = None,
    **facts: str,
) -> tuple[CaptureStatus, LiveCheck, list[tuple[str, ...]]]:
    clock = FakeClock(wall_s=1_700_000_000.0)
    check = LiveCheck(MAPPING, expected_hz=50.0)
    order = CaptureOrder(path=path, facts=facts, columns=("ax", "ay", "az"), seconds=seconds)
    said: list[tuple[str, ...]] = []
    status = asyncio.run(
        record(
            _Device(clock, payloads, end=end),
            order,
            check,
            clock=clock,
            on_status=lambda _, warnings: said.append(warnings),
        )
    )
    return status, check, said


@pytest.mark.parametrize(
    "payload",
    ["0,0.1,1.0", "0\t0.1\t1.0", '{"ax":0,"ay":0.1,"az":1.0}', {"ax": 0, "ay": 0.1, "az": 1.0}],
)
def test_a_capture_is_a_source(tmp_path: Path, payload: Any) -> None:
    facts = {"subject": "ann", "label": "sit", "recording": "one"}
    status, check, said = run(tmp_path / "c.jsonl", [payload] * 100, **facts)
    assert (status.samples, status.rate_hz, status.gaps, status.bad) == (100, 50.0, 0, 0)
    assert check.warnings() == ()
    assert set(said) == {()}
    dataset = read_source("c.jsonl", MAPPING, folder=tmp_path)
    assert (dataset.subjects, dataset.label_names, dataset.rate_hz) == (("ann",), ("sit",), 50.0)
    assert dataset.recordings[0].samples[:, 1] == pytest.approx(0.1)


def test_what_is_wrong_is_told_while_it_runs(tmp_path: Path) -> None:
    _, check, said = run(tmp_path / "c.jsonl", ["0,0,9.81"] * 120 + ["0,0,high"], subject="ann")
    assert said[0] == ("reads 9.81 g at rest, expected 1; is the unit right?",)
    assert "1 samples have a value that is no number" in check.warnings()


def test_holes_and_rates_are_counted() -> None:
    check = LiveCheck(MAPPING, expected_hz=50.0)
    for at in np.arange(100) / 20:
        check.add(float(at + (at > 2)), {"ax": 0, "ay": 0, "az": 1})
    assert check.warnings() == (
        "16.64 samples a second arrive, expected 50",
        "1 holes, the longest 1.05 s",
    )


def test_what_was_recorded_is_kept_when_the_device_is_gone(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="the device is gone"):
        run(tmp_path / "c.jsonl", ["0,0,1"] * 30, end="gone", subject="ann")
    assert read_source("c.jsonl", MAPPING, folder=tmp_path).sample_count == 30


def test_a_capture_ends_when_its_time_is_up(tmp_path: Path) -> None:
    status, _, _ = run(tmp_path / "c.jsonl", ["0,0,1"] * 3, end="silent", seconds=0.05)
    assert status.samples == 3


def test_a_line_that_a_power_cut_left_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    run(path, ["0,0,1"] * 30, subject="ann")
    path.write_bytes(path.read_bytes()[:-9])
    dataset = read_source("c.jsonl", MAPPING, folder=tmp_path)
    assert dataset.sample_count == 29
    assert dataset.notes == ("the last line is cut off and was left out",)


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("mine")
    with pytest.raises(InputError, match="it is there already"):
        run(path, ["0,0,1"])
    assert path.read_text() == "mine"


def test_pictures_of_a_film_are_written_and_listed(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="absent: opencv-python-headless (extra camera)")
    from edgewright.errors import UnavailableError
    from edgewright.workbench.data.capture.camera import CameraSource

    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (32, 24))
    for shade in (0, 100, 200):
        writer.write(np.full((24, 32, 3), shade, np.uint8))
    writer.release()

    async def capture(source: CameraSource, path: Path) -> CaptureStatus:
        order = CaptureOrder(path=path, facts={"label": "wall"})
        check = LiveCheck(SourceMapping())
        clock = SystemClock()
        return await record(source, order, check, clock=clock, on_status=lambda *_: None)

    source = CameraSource(str(film), folder=tmp_path / "frames", interval_s=1.0)
    assert asyncio.run(capture(source, tmp_path / "frames.jsonl")).samples == 3
    listed = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    assert [each["payload"]["label"] for each in listed] == ["wall"] * 3
    last = cv2.imread(str(tmp_path / "frames" / listed[-1]["payload"]["image"]))
    assert last.shape == (24, 32, 3)
    assert last.mean() == pytest.approx(200, abs=4)
    absent = CameraSource(str(tmp_path / "no.avi"), folder=tmp_path / "x", interval_s=1.0)
    with pytest.raises(UnavailableError, match="cannot be opened"):
        asyncio.run(capture(absent, tmp_path / "no.jsonl"))
