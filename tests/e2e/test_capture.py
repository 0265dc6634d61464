"""Live captures as a person makes them: a serial port, a real broker, and Ctrl-C."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.brokers import running_mosquitto

from edgewright.chain.processes import free_port

MAPPING = """
channels = [
    {column = "ax", name = "acc_x", unit = "m/s2"},
    {column = "ay", name = "acc_y", unit = "m/s2"},
    {column = "az", name = "acc_z", unit = "m/s2"},
]
"""


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgewright", "data", "capture", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if path.is_file() and path.read_bytes().count(b"\n") >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    pytest.fail(f"{path} did not grow to {count} lines")


@pytest.fixture
def device() -> Iterator[str]:
    """A serial device that says its acceleration, about a hundred times a second."""
    pytest.importorskip("serial", reason="absent: pyserial (extra serial)")
    ours, theirs = pty.openpty()
    is_over = threading.Event()

    def speak() -> None:
        while not is_over.wait(0.01):
            os.write(ours, b"0.10,0.20,9.81\r\n")

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    yield os.ttyname(theirs)
    is_over.set()
    speaker.join()
    os.close(ours)
    os.close(theirs)


def test_a_serial_port_is_recorded_until_ctrl_c(device: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="absent: torch (extra workbench)")
    (tmp_path / "m.toml").write_text(MAPPING)
    out = tmp_path / "ann-1.jsonl"
    facts = ("--subject", "ann", "--label", "sit", "--columns", "ax,ay,az", "--rate", 100)
    where = ("--out", out, "--mapping", tmp_path / "m.toml", "--project", tmp_path)
    process = start("serial", device, *facts, *where, "--json")
    wait_for_lines(out, 180, process)  # more than a calm second, to weigh gravity on
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "what was recorded is kept" in stderr
    report = json.loads(stdout)
    assert report["samples"] >= 179
    assert [each["name"] for each in report["subjects"]] == ["ann"]
    assert [c["unit"] for c in report["channels"]] == ["g"] * 3
    assert "gravity" not in {f["code"] for f in report["findings"]}


def test_a_port_that_is_absent_is_named(tmp_path: Path) -> None:
    pytest.importorskip("serial", reason="absent: pyserial (extra serial)")
    process = start("serial", "/dev/ttyNONE", "--out", tmp_path / "a.jsonl")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "serial port /dev/ttyNONE" in stderr


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with running_mosquitto(tmp_path) as started:
        yield started.port


def test_a_broker_is_recorded(broker: int, tmp_path: Path) -> None:
    aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")
    (tmp_path / "m.toml").write_text(MAPPING + 'subject = "topic.1"\nrecording = "topic.1"\n')
    out = tmp_path / "c.jsonl"
    where = ("--out", out, "--mapping", tmp_path / "m.toml", "--project", tmp_path)
    url = f"mqtt://127.0.0.1:{broker}"
    process = start("mqtt", url, "--topic", "gym/+/watch", *where, "--seconds", 60, "--json")

    async def send_until_recorded() -> None:
        async with aiomqtt.Client("127.0.0.1", broker) as client:
            while not out.is_file() or out.read_bytes().count(b"\n") < 80:
                assert process.poll() is None, process.communicate()
                for who in ("ann", "bob"):
                    payload = json.dumps({"ax": 0.1, "ay": 0.2, "az": 9.8})
                    await client.publish(f"gym/{who}/watch", payload)
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(send_until_recorded(), 60))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert [each["name"] for each in report["subjects"]] == ["ann", "bob"]


def test_a_broker_that_is_away_is_named(tmp_path: Path) -> None:
    pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")
    where = ("--topic", "x", "--out", tmp_path / "a.jsonl")
    process = start("mqtt", f"mqtt://127.0.0.1:{free_port()}", *where)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "broker 127.0.0.1:" in stderr
