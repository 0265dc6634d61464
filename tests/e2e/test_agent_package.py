"""The agent takes a release of itself, by the path of models: tried, switched to, left again."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import edgewright
from edgewright.chain.package import build_package
from edgewright.device.agent import PACKAGE
from edgewright.device.agent.process import find_listener
from edgewright.errors import TrustError
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import build_tiny

pytestmark = pytest.mark.timeout(240)

AGENT = [sys.executable, "-m", "edgewright", "agent"]
SIGNER = MemorySigner.from_seed(1)
SOURCE = Path(edgewright.__file__).parent
MEMORY = Path("/dev/shm")


def wheel(path: Path, version: str, *, name: str = "edgewright", appended: str = "") -> Path:
    """This very code as a wheel of another version; `appended` joins the file that agents run."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(SOURCE.rglob("*.py")):
            content = file.read_text()
            if file == SOURCE / "chain" / "agent.py":
                content += appended
            archive.writestr(f"edgewright/{file.relative_to(SOURCE)}", content)
        archive.writestr(f"edgewright-{version}.dist-info/METADATA", metadata)
        points = Path(SOURCE).parent.parent / "pyproject.toml"
        found = re.findall(
            r'\[project\.entry-points\."edgewright\.runtimes"\]\n(.*?)\n\n',
            points.read_text(),
            re.DOTALL,
        )
        text = "[edgewright.runtimes]\n" + found[0].replace('"', "") + "\n"
        archive.writestr(f"edgewright-{version}.dist-info/entry_points.txt", text)
    return path


class Place:
    """An enrolled device without a fleet, one model on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        key = folder / "key.pub"
        key.write_text(SIGNER.public.public_hex)
        self.call("enroll", "--key", str(key), "--device", "d1")
        (self.home / "agent.toml").write_text('serve_http = "127.0.0.1:0"\nprobation_s = 0.5\n')
        build_tiny(folder / "m.ewb")
        self.call("apply", str(folder / "m.ewb"))

    def call(self, *words: str, code: int = 0) -> Any:
        command = [*AGENT, *words, "--home", str(self.home), "--json"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=100)
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout) if code == 0 else done.stderr.decode()

    def package(self, version: str, **options: Any) -> Path:
        path = self.folder / f"agent-{version}.ewb"
        made = wheel(self.folder / f"edgewright-{version}-py3-none-any.whl", version, **options)
        build_package(made, path, signers=[SIGNER])
        return path

    def start(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "agent.log").open("ab") as log:
            return subprocess.Popen(
                [*AGENT, "run", "--home", str(self.home)], stdout=log, stderr=log
            )

    def status(self, model: str = PACKAGE) -> Any:
        models = {found["model"]: found for found in self.call("status")["models"]}
        return models.get(model)

    def server_pid(self) -> int:
        process = find_listener(self.home / "admin.sock")
        return process.pid if process else 0

    def code_of(self, pid: int) -> str:
        """The package that a process runs, by its environment."""
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        found = [line for line in environment if line.startswith(b"PYTHONPATH=")]
        match = re.search(rb"packages/([0-9a-f]{64})", found[0]) if found else None
        return match.group(1).decode() if match else ""


@pytest.fixture
def place() -> Iterator[Place]:
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where, prefix="edgewright-") as folder:
        yield Place(Path(folder))


def wait_for(look: Callable[[], Any], *, timeout_s: float = 60.0) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def end(agent: "subprocess.Popen[bytes]") -> None:
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0


def is_settled(place: Place) -> Any:
    found = place.status()
    return found if found and found["state"] == "idle" else None


@pytest.mark.long
def test_an_agent_updates_itself_and_the_server_answers_on(place: Place) -> None:
    agent = place.start()
    try:
        server = wait_for(place.server_pid)
        subprocess.run(
            [*AGENT, "apply", str(place.package("9.0")), "--home", str(place.home)],
            capture_output=True,
            check=False,
            timeout=100,
        )
        found = wait_for(lambda: is_settled(place))
        assert (found["version"], found["bad"]) == ("9.0", [])
        assert place.code_of(agent.pid) == found["active"]
        assert place.server_pid() == server
        assert place.status("tiny")["version"] == "1"
        again = place.call("apply", str(place.folder / "m.ewb"))
        assert again["model"] == "tiny"
    finally:
        end(agent)


@pytest.mark.long
def test_a_package_that_does_not_live_is_left_after_three_starts(place: Place) -> None:
    bad = "\nif 'agent_run' in __import__('sys').argv[0]:\n    __import__('os')._exit(7)\n"
    agent = place.start()
    wait_for(place.server_pid)
    subprocess.run(
        [*AGENT, "apply", str(place.package("9.1", appended=bad)), "--home", str(place.home)],
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert agent.wait(60) == 7
    assert place.server_pid()
    for _ in range(2):
        assert place.start().wait(60) == 7
    agent = place.start()
    try:
        wait_for(lambda: place.call("status")["is_running"])
        wait_for(lambda: (place.status() or {"state": "idle"})["state"] == "idle")
        assert place.code_of(agent.pid) == ""
        reasons = [step.get("reason", "") for step in place.call("status")["history"]]
        assert any("was started 3 times and did not live" in reason for reason in reasons)
        assert place.status("tiny")["version"] == "1"
    finally:
        end(agent)


def test_a_package_that_cannot_be_this_devices_agent_is_refused(place: Place) -> None:
    broken = place.package("9.2", appended="\nraise RuntimeError('not today')\n")
    assert "not today" in place.call("apply", str(broken), code=6)
    status = place.status()
    assert (status["active"], status["slots"]) == ("", [])
    with pytest.raises(TrustError, match="wheel of 'other', expected 'edgewright'"):
        place.package("1.0", name="other")
    (place.folder / "x.whl").write_bytes(b"no zip")
    with pytest.raises(TrustError, match="is no wheel"):
        build_package(place.folder / "x.whl", place.folder / "x.ewb")
