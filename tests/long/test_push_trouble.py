"""Pushing when things go wrong, to a real OpenSSH server in a network of its own: the old model
serves all the time, the report claims nothing that was not measured, nothing is left over.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ssh_target import Remote, asyncssh, checks

from edgewright.testing.bundles import build_tiny, wrong_output

pytestmark = [pytest.mark.long, pytest.mark.root, pytest.mark.timeout(240)]

MODEL = "steady"
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
HERE, THERE = f"10.231.{77 + _WORKER}.1", f"10.231.{77 + _WORKER}.2"
"""Each worker's own: two islands of one address would be reached by turns."""
DISK_MB = 220
FILLER_BYTES = 24 << 20

BEFORE_SENDING = {
    "host key", "edgewright", "enrolled", "architecture", "disk", "memory", "runtime", "clock",
}  # fmt: skip

# Asks the served model until it is told to stop; prints how often, and how often in vain.
ASK = """
import http.client, json, signal, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4],
                               "data": [1, 2, 3, 4]}]})
answers, failed = {}, 0
while not stop:
    try:
        line = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
        line.request("POST", f"/v2/models/{sys.argv[3]}/infer", body)
        answer = line.getresponse()
        said = json.loads(answer.read())
        good = answer.status == 200
        key = json.dumps(said["outputs"][0]["data"]) if good else str(answer.status)
        answers[key] = answers.get(key, 0) + 1
        failed += not good
    except OSError as error:
        failed += 1
    finally:
        line.close()
    time.sleep(0.02)
print(json.dumps({"answers": answers, "failed": failed}))
"""


class Island:
    """A machine behind a line that can be cut: a network namespace with its own small disk."""

    def __init__(self, folder: Path) -> None:
        self.name = f"ew{os.getpid()}"
        self.outer, self.inner = f"{self.name}a"[-15:], f"{self.name}b"[-15:]
        self.disk = folder / "disk"
        self.disk.mkdir()

    @property
    def within(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def make(self) -> None:
        for command in (
            f"ip netns add {self.name}",
            f"ip link add {self.outer} type veth peer name {self.inner} netns {self.name}",
            f"ip addr add {HERE}/30 dev {self.outer}",
            f"ip link set {self.outer} up",
            f"ip -n {self.name} addr add {THERE}/30 dev {self.inner}",
            f"ip -n {self.name} link set {self.inner} up",
            f"ip -n {self.name} link set lo up",
            f"mount -t tmpfs -o size={DISK_MB}m tmpfs {self.disk}",
        ):
            _run(*command.split())

    def remove(self) -> None:
        for command in (
            ["umount", str(self.disk)],
            ["ip", "netns", "del", self.name],
            ["ip", "link", "del", self.outer],
        ):
            subprocess.run(command, capture_output=True, check=False)

    def slow_down(self) -> None:
        """So that there is a middle of a transfer."""
        _run("tc", "qdisc", "add", "dev", self.outer, "root", "tbf", "rate", "24mbit", "burst",
             "64kb", "latency", "200ms")  # fmt: skip

    def speed_up(self) -> None:
        _run("tc", "qdisc", "del", "dev", self.outer, "root")

    def cut(self) -> None:
        _run("ip", "link", "set", self.outer, "down")

    def mend(self) -> None:
        _run("ip", "link", "set", self.outer, "up")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine lets nobody make networks ({done.stderr.strip()})")


class Target(Remote):
    """The machine with its agent, and what can be seen of it from beside."""

    island: Island
    first = ""

    def left_over(self) -> list[str]:
        """Spooled, half-written or downloaded files, and programs that wait for input."""
        files = [
            path.relative_to(self.home).as_posix()
            for path in self.home.rglob("*")
            if path.is_file() and (".tmp-" in str(path) or "downloads" in path.parts)
        ]
        programs = subprocess.run(
            ["pgrep", "-f", f"agent apply - --home {self.home}"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return files + programs.stdout.split()

    def slots(self) -> list[str]:
        return sorted(path.name for path in (self.home / "slots").iterdir())

    def journal(self) -> bytes:
        return (self.home / "journal.log").read_bytes()

    def spooled_bytes(self) -> int:
        sizes = []
        for path in self.home.glob(".tmp-*"):
            with contextlib.suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        return sum(sizes)

    @contextlib.contextmanager
    def asked(self) -> Iterator[dict[str, Any]]:
        """Ask the served model all the time; afterwards the dict says what came of it."""
        process = subprocess.Popen(
            [*self.within, sys.executable, "-c", ASK, "127.0.0.1", str(self.serve_port), MODEL],
            stdout=subprocess.PIPE,
        )
        found: dict[str, Any] = {}
        try:
            yield found
            time.sleep(0.2)
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=20)
        found |= json.loads(said)

    def mended(self) -> None:
        """The link is up and carries again, which takes the kernel a moment."""
        self.island.mend()
        deadline_s = time.monotonic() + 20
        while not self.listens():
            assert time.monotonic() < deadline_s, "the mended link carries nothing"
            time.sleep(0.05)

    def meanwhile(
        self, act: Callable[[], None], bundle: Path
    ) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """Push, and do something in the middle of the transfer."""
        trouble = threading.Thread(target=act)
        with self.asked() as asked:
            trouble.start()
            code, report, said = self.push(bundle)
            trouble.join(60)
        assert report, said
        return code, report, asked


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        pytest.skip("absent: root, ip and tc (Debian package iproute2)")
    folder = tmp_path_factory.mktemp("trouble")
    island = Island(folder)
    try:
        island.make()
        made = Target(folder, home=island.disk / "agent", address=THERE, within=island.within)
        made.island = island
        with made.serving(), made.agent():
            build_tiny(folder / "1.ewb", name=MODEL, version="1")
            code, _, said = made.push(folder / "1.ewb")
            assert code == 0, said
            made.first = made.active(MODEL)
            yield made
    finally:
        island.remove()


def assert_as_before(
    target: Target, report: dict[str, Any], asked: dict[str, Any], slots: list[str]
) -> None:
    """The old model answered alone and always, the report claims only what was looked at."""
    (host,) = report["hosts"]
    assert target.active(MODEL) == target.first
    assert asked["failed"] == 0
    assert len(asked["answers"]) == 1, "one model answered"
    assert sum(asked["answers"].values()) > 20
    assert (report["passed"], report["failed"]) == (0, 1)
    assert host["before"] == target.first
    assert host["after"] in ("", target.first)
    passed = {name for name, status in checks(report).items() if status == "PASSED"}
    assert passed <= BEFORE_SENDING, "nothing after the transfer was looked at"
    assert all(check["measured"] for check in host["checks"] if check["status"] == "PASSED")
    deadline_s = time.monotonic() + 30
    while target.left_over() and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert target.left_over() == []
    assert target.slots() == slots


def until_spooled(target: Target, least_bytes: int) -> None:
    deadline_s = time.monotonic() + 60
    while target.spooled_bytes() < least_bytes:
        assert time.monotonic() < deadline_s, "nothing arrived"
        time.sleep(0.01)


def test_a_link_that_is_cut_in_the_middle(target: Target, tmp_path: Path) -> None:
    bundle, slots = tmp_path / "2.ewb", target.slots()
    build_tiny(bundle, name=MODEL, version="2", filler_bytes=FILLER_BYTES)
    target.island.slow_down()

    def cut() -> None:
        until_spooled(target, FILLER_BYTES // 3)
        target.island.cut()

    try:
        code, report, asked = target.meanwhile(cut, bundle)
    finally:
        target.island.speed_up()
        target.mended()
    assert code == 4, report
    assert report["hosts"][0]["action"] == "failed"
    assert_as_before(target, report, asked, slots)


def test_a_disk_that_fills_up_in_the_middle(target: Target, tmp_path: Path) -> None:
    bundle, slots = tmp_path / "3.ewb", target.slots()
    build_tiny(bundle, name=MODEL, version="3", filler_bytes=FILLER_BYTES)
    ballast = target.island.disk / "ballast"
    target.island.slow_down()

    def fill() -> None:
        until_spooled(target, FILLER_BYTES // 4)
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))

    try:
        code, report, asked = target.meanwhile(fill, bundle)
    finally:
        ballast.unlink(missing_ok=True)
        target.island.speed_up()
    assert code == 8, report
    error = report["hosts"][0]["error"]  # the reserve is looked at before each part, then written
    assert "MB of disk are free" in error or "the disk is full" in error
    assert_as_before(target, report, asked, slots)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_sent(
    target: Target, tmp_path: Path
) -> None:
    bundle, slots, journal = tmp_path / "4.ewb", target.slots(), target.journal()
    build_tiny(bundle, name=MODEL, version="4", filler_bytes=FILLER_BYTES)
    ballast = target.island.disk / "ballast"
    ballast.write_bytes(bytes((DISK_MB - 100) << 20))
    try:
        with target.asked() as asked:
            code, report, _ = target.push(bundle)
    finally:
        ballast.unlink()
    assert code == 6
    assert report["hosts"][0]["action"] == "refused"
    assert checks(report)["disk"] == "FAILED"
    assert target.journal() == journal
    assert_as_before(target, report, asked, slots)


def test_a_wrong_host_key_ends_it_before_anything_is_sent(target: Target, tmp_path: Path) -> None:
    bundle, journal = tmp_path / "5.ewb", target.journal()
    build_tiny(bundle, name=MODEL, version="5")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (target.folder / "wrong").write_text(f"[{THERE}]:{target.port} {other}")
    with target.asked() as asked:
        code, report, _ = target.push(bundle, known="wrong")
    assert code == 5
    assert report["hosts"][0]["checks"] == []
    assert target.journal() == journal
    assert asked["failed"] == 0
    assert target.active(MODEL) == target.first
    assert target.left_over() == []


def test_a_model_that_fails_its_probe(target: Target, tmp_path: Path) -> None:
    bundle, slots = tmp_path / "6.ewb", target.slots()
    build_tiny(bundle, name=MODEL, version="6", change=wrong_output)
    with target.asked() as asked:
        code, report, _ = target.push(bundle)
    assert code == 6
    assert "probe" in report["hosts"][0]["error"]
    assert_as_before(target, report, asked, slots)


def test_after_a_cut_the_same_push_succeeds(target: Target, tmp_path: Path) -> None:
    bundle = tmp_path / "7.ewb"
    second = build_tiny(bundle, name="other", version="7", filler_bytes=FILLER_BYTES // 4)
    target.island.slow_down()

    def cut() -> None:
        until_spooled(target, 1 << 20)
        target.island.cut()

    try:
        code, _, _ = target.meanwhile(cut, bundle)
    finally:
        target.island.speed_up()
        target.mended()
    assert code == 4
    code, report, said = target.push(bundle)
    assert code == 0, said
    assert report["hosts"][0]["action"] == "pushed"
    assert target.active("other") == second
