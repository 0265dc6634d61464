"""Live captures as a person makes them: a serial port, a real broker, and Ctrl-C."""

import asyncio
import contextlib
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
from tests.fleet_process import fleet_serving

from edgewright.chain.fleet import trust
from edgewright.chain.processes import free_port
from edgewright.testing.fleet import SIGNER

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
    os.set_blocking(ours, False)  # as on a real line, what nobody reads is lost
    is_over = threading.Event()

    def speak() -> None:
        while not is_over.wait(0.01):
            with contextlib.suppress(BlockingIOError):
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


def test_what_was_recorded_is_kept_when_the_device_is_unplugged(tmp_path: Path) -> None:
    pytest.importorskip("serial", reason="absent: pyserial (extra serial)")
    ours, theirs = pty.openpty()
    out = tmp_path / "a.jsonl"
    process = start("serial", os.ttyname(theirs), "--columns", "ax", "--out", out)
    while not out.is_file() or not out.stat().st_size:
        assert process.poll() is None, process.communicate()
        os.write(ours, b"0.1\n")
        time.sleep(0.05)
    os.close(theirs)
    os.close(ours)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "is gone" in stderr
    assert "what was recorded is kept" in stderr
    assert json.loads(out.read_text().splitlines()[0])["payload"] == {"ax": 0.1}


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
    assert "broker mqtt://127.0.0.1:" in stderr
    assert "what was recorded is kept" not in stderr


@pytest.fixture
def agents_fleet(device: str, tmp_path: Path) -> Iterator[Path]:
    """A fleet, and the agent of a device that may tell what its sensor says."""
    home, folder = tmp_path / "fleet", tmp_path / "device"
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    trust(home, [tmp_path / "key.pub"], threshold=1, by="test")
    with fleet_serving(home) as fleet, (tmp_path / "agent.log").open("wb") as log:
        token = json.loads(run("device", "token", "--home", home, "--json"))["token"]
        who = ("--token", token, "--device", "d1", "--home", folder)
        run("agent", "enroll", fleet.devices, *who)
        (folder / "agent.toml").write_text(
            'serve_http = "127.0.0.1:0"\npoll_s = 5\n'
            'remote_commands = ["capture"]\ncapture = "capture.toml"\n'
        )
        (folder / "capture.toml").write_text(f'[source]\nkind = "serial"\nport = "{device}"\n')
        agent = [sys.executable, "-m", "edgewright", "agent", "run", "--home", str(folder)]
        process = subprocess.Popen(agent, stdout=log, stderr=log)
        try:
            yield home
        finally:
            process.terminate()
            process.wait(timeout=60)


def run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(240)
def test_a_devices_agent_records_what_its_admin_allows(agents_fleet: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="absent: torch (extra workbench)")
    (tmp_path / "m.toml").write_text(MAPPING)
    out = tmp_path / "ann-1.jsonl"
    facts = ("--subject", "ann", "--label", "sit", "--columns", "ax,ay,az")
    where = ("--out", out, "--mapping", tmp_path / "m.toml", "--project", tmp_path)
    fleet = ("--home", agents_fleet, "--json")
    process = start("agent", "d1", "--seconds", "6s", *facts, *where, *fleet)
    wait_for_lines(out, 20, process)
    commands = json.loads(run("device", "commands", "d1", *fleet))["commands"]
    assert [each["kind"] for each in commands] == ["capture"]
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert [each["name"] for each in report["subjects"]] == ["ann"]
    assert report["samples"] > 100
    assert [c["unit"] for c in report["channels"]] == ["g"] * 3
    assert "gravity" not in {f["code"] for f in report["findings"]}
    entries = json.loads(run("fleet", "audit", "show", *fleet))["entries"]
    told = {entry["what"].removeprefix("remote command ") for entry in entries}
    assert {"ordered", "fetched", "began to send what it captures", "file read", "done"} <= told
