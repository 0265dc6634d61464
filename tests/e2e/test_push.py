"""Pushing to a real OpenSSH server on loopback, whose user has an enrolled agent."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.chain.processes import free_port
from edgewright.testing.bundles import build_tiny, wrong_output
from edgewright.testing.keys import MemorySigner

asyncssh = pytest.importorskip("asyncssh", reason="absent: asyncssh (extra ssh)")

pytestmark = pytest.mark.timeout(240)

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
EDGEWRIGHT = [sys.executable, "-m", "edgewright"]
PROGRAM = " ".join(EDGEWRIGHT)


class Remote:
    """An SSH server, the keys to it, and an agent's home behind it."""

    def __init__(self, folder: Path) -> None:
        if not Path(SSHD).exists():
            pytest.skip("absent: sshd (Debian package openssh-server)")
        self.folder, self.home, self.port = folder, folder / "agent", free_port()
        for name in ("host", "user"):
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(folder / name))
            (folder / name).chmod(0o600)
        user = asyncssh.read_private_key(str(folder / "user"))
        user.write_public_key(str(folder / "authorized"))
        host = asyncssh.read_private_key(str(folder / "host"))
        line = f"[127.0.0.1]:{self.port} {host.export_public_key().decode()}"
        (folder / "known_hosts").write_text(line)
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nAllowTcpForwarding yes\nPermitRootLogin yes\n"
        )
        self.user = subprocess.check_output(["id", "-un"], text=True).strip()
        signer = MemorySigner.from_seed(1)
        (folder / "key.pub").write_text(signer.public.public_hex)
        self.local("agent", "enroll", "--key", str(folder / "key.pub"), "--device", "target")
        self.serve_port = free_port()
        (self.home / "agent.toml").write_text(
            f'serve_http = "127.0.0.1:{self.serve_port}"\nprobation_s = 0.5\npoll_s = 1.0\n'
        )

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        Path("/run/sshd").mkdir(exist_ok=True)
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=subprocess.DEVNULL
        )
        try:
            deadline_s = time.monotonic() + 20
            while time.monotonic() < deadline_s:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", self.port), timeout=1),
                ):
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(10)

    @contextlib.contextmanager
    def agent(self) -> Iterator[None]:
        process = subprocess.Popen([*EDGEWRIGHT, "agent", "run", "--home", str(self.home)])
        try:
            deadline_s = time.monotonic() + 60
            while not (self.home / "agent.sock").exists():
                assert time.monotonic() < deadline_s
                assert process.poll() is None
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(40)

    def local(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [*EDGEWRIGHT, *arguments, "--home", str(self.home), "--json"],
            capture_output=True,
            check=True,
            timeout=120,
        )
        return json.loads(done.stdout)

    def push(
        self, bundle: Path, *flags: str, known: str = "known_hosts", url: str = ""
    ) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [
                *(*EDGEWRIGHT, "push", url or f"ssh://{self.user}@127.0.0.1:{self.port}"),
                *(str(bundle), "--json", "--home", str(self.home), "--edgewright", PROGRAM),
                *("--identity", str(self.folder / "user")),
                *("--known-hosts", str(self.folder / known), *flags),
            ],
            capture_output=True,
            check=False,
            timeout=200,
        )
        report = json.loads(done.stdout) if done.stdout else {}
        return done.returncode, report, f"{done.stdout.decode()} {done.stderr.decode()}"

    def active(self, name: str) -> str:
        """The bundle that a model runs; tests come in any order and push models of their own."""
        models = self.local("agent", "status")["models"]
        return next((model["active"] for model in models if model["model"] == name), "")


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    made = Remote(tmp_path_factory.mktemp("push"))
    with made.serving():
        yield made


def checks(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["status"] for check in report["hosts"][0]["checks"]}


def test_a_bundle_is_pushed_measured_and_taken_back(remote: Remote, tmp_path: Path) -> None:
    first = build_tiny(tmp_path / "1.ewb", version="1", name="walked")
    second = build_tiny(tmp_path / "2.ewb", version="2", name="walked")
    with remote.agent():
        code, report, said = remote.push(tmp_path / "1.ewb")
        assert (code, report["hosts"][0]["action"]) == (0, "pushed"), said
        assert report["hosts"][0]["downtime"] is None  # nothing ran before
        page = tmp_path / "report.html"
        code, report, said = remote.push(tmp_path / "2.ewb", "--html", str(page))
        assert (code, report["passed"], report["failed"]) == (0, 1, 0), said
        assert checks(report) == dict.fromkeys(
            [
                *("host key", "edgewright", "enrolled", "architecture", "disk", "memory"),
                *("runtime", "clock", "active bundle", "answers"),
            ],
            "PASSED",
        )
        host = report["hosts"][0]
        assert (host["before"], host["after"], remote.active("walked")) == (first, second, second)
        assert host["host_key"].startswith("SHA256:")
        assert host["downtime"]["asked"] > 3
        assert host["downtime"]["failed"] == 0
        assert "PASSED, pushed" in page.read_text()
        assert "Longest time without a good answer" in page.read_text()
        code, report, _ = remote.push(tmp_path / "2.ewb")
        assert (code, report["hosts"][0]["action"]) == (0, "nothing to do")
        build_tiny(tmp_path / "3.ewb", version="3", name="walked", change=wrong_output)
        code, report, said = remote.push(tmp_path / "3.ewb")
        assert code == 6
        assert report["hosts"][0]["action"] == "failed"
        assert "probe" in report["hosts"][0]["error"]
        assert remote.active("walked") == second
        code, report, said = remote.push(tmp_path / "2.ewb", "--rollback")
        assert (code, report["hosts"][0]["action"]) == (0, "rolled back"), said
        assert checks(report)["ready"] == "PASSED"
        assert remote.active("walked") == first
        code, report, _ = remote.push(tmp_path / "2.ewb", "--rollback")
        assert code == 2
        assert "give the bundle that is to be taken back" in report["hosts"][0]["error"]


def test_a_machine_without_a_running_agent_measures_no_downtime(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "9.ewb", version="9", name="other")
    code, report, said = remote.push(tmp_path / "9.ewb")
    assert code == 0, said
    assert checks(report)["answers"] == "NOT MEASURED"
    assert report["hosts"][0]["downtime"] is None


@pytest.mark.parametrize("known", ["wrong", "none"])
def test_a_host_key_that_is_not_the_known_one_ends_it(
    remote: Remote, tmp_path: Path, known: str
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    text = f"[127.0.0.1]:{remote.port} {other}" if known == "wrong" else ""
    (remote.folder / known).write_text(text)
    build_tiny(tmp_path / "1.ewb", version="1")
    code, report, _ = remote.push(tmp_path / "1.ewb", known=known)
    assert code == 5
    assert "host key" in report["hosts"][0]["error"]


def test_a_bundle_that_nobody_trusted_signed_is_refused_there(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "1.ewb", version="77", signer=MemorySigner.from_seed(9))
    before = remote.active("tiny")
    code, report, _ = remote.push(tmp_path / "1.ewb")
    assert code in (5, 6)
    assert report["hosts"][0]["action"] == "failed"
    assert remote.active("tiny") == before


def test_many_machines_are_pushed_from_an_inventory_and_one_that_fails_is_told(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "1.ewb", version="5", name="fleetwide")
    inventory = tmp_path / "machines.toml"
    inventory.write_text(f'[[hosts]]\nurl = "ssh://nobody-here@127.0.0.1:{free_port()}"\n')
    code, report, said = remote.push(tmp_path / "1.ewb", "--inventory", str(inventory))
    assert code == 4, said
    assert [host["action"] for host in report["hosts"]] == ["pushed", "failed"]
    assert (report["passed"], report["failed"]) == (1, 1)


def test_a_machine_without_a_program_or_home_is_told_what_to_do(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "1.ewb", version="1")
    code, report, _ = remote.push(tmp_path / "1.ewb", "--edgewright", "/nowhere/edgewright")
    assert code == 2
    assert "no edgewright that answers" in report["hosts"][0]["error"]
    code, report, _ = remote.push(tmp_path / "1.ewb", "--home", str(tmp_path / "nothing"))
    assert code == 2
    assert "agent enroll --key" in report["hosts"][0]["error"]


@pytest.mark.long
def test_the_active_model_is_validated_on_the_machine_itself(
    remote: Remote, tmp_path: Path
) -> None:
    bundle_id = build_tiny(tmp_path / "v.ewb", version="v")
    url = f"ssh://{remote.user}@127.0.0.1:{remote.port}"
    options = [
        *("--agent-home", str(remote.home), "--edgewright", PROGRAM, "--json"),
        *("--identity", str(remote.folder / "user")),
        *("--known-hosts", str(remote.folder / "known_hosts")),
    ]
    golden = tmp_path / "golden.npz"
    np.savez(golden, x=np.ones((4, 4), np.float32), y=np.full((4, 3), 9, np.float32))

    def validated(*more: str) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [*EDGEWRIGHT, "validate", url, *options, *more],
            capture_output=True,
            check=False,
            timeout=150,
        )
        report = json.loads(done.stdout) if done.stdout else {}
        return done.returncode, report, done.stderr.decode()

    with remote.agent():
        code, _, said = remote.push(tmp_path / "v.ewb")
        assert code == 0, said
        short = ("--model", "tiny", "--seconds", "1", "--attempts", "1")
        code, report, said = validated(*short)
        assert code in (0, 9), said  # 9: the test machine is busy
        assert report["subject"].startswith(f"{url}: bundle {bundle_id[:12]}")
        assert report["answers"]["is_compared"]
        assert report["answers"]["wrong"] == 0
        assert report["answers"]["checked"] > 10
        names = {figure["name"] for figure in report["figures"]}
        assert {"latency p95", "server memory peak"} <= names
        code, report, said = validated(*short, "--golden", str(golden))
        assert code == 7, said  # our file was sent there, and its answers are others
        code, _, said = validated(*short, "--admin", "/x")
        assert code == 2
        assert "--admin cannot be used" in said
