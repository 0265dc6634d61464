"""A real OpenSSH server whose user has an enrolled agent, as a target of `push`."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgewright.chain.processes import free_port
from edgewright.testing.keys import MemorySigner

asyncssh = pytest.importorskip("asyncssh", reason="absent: asyncssh (extra ssh)")

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
EDGEWRIGHT = [sys.executable, "-m", "edgewright"]
PROGRAM = " ".join(EDGEWRIGHT)


class Remote:
    """An SSH server, the keys to it, and an agent's home behind it; what runs there is started by
    the command `within`, which may enter a network namespace; `settings` are lines of sshd_config.
    """

    def __init__(
        self,
        folder: Path,
        *,
        home: Path | None = None,
        address: str = "127.0.0.1",
        within: tuple[str, ...] = (),
        settings: str = "",
    ) -> None:
        if not Path(SSHD).exists():
            pytest.skip("absent: sshd (Debian package openssh-server)")
        self.folder, self.home, self.port = folder, home or folder / "agent", free_port()
        self.address, self.within = address, within
        for name in ("host", "user"):
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(folder / name))
            (folder / name).chmod(0o600)
        user = asyncssh.read_private_key(str(folder / "user"))
        user.write_public_key(str(folder / "authorized"))
        host = asyncssh.read_private_key(str(folder / "host"))
        line = f"[{address}]:{self.port} {host.export_public_key().decode()}"
        (folder / "known_hosts").write_text(line)
        (folder / "sshd_config").write_text(
            f"ListenAddress {address}:{self.port}\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nClientAliveInterval 2\nClientAliveCountMax 2\n"
            f"AllowTcpForwarding yes\nPermitRootLogin yes\n{settings}\n"
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
            [*self.within, SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stderr=subprocess.DEVNULL,
        )
        self.server_pid = process.pid
        try:
            deadline_s = time.monotonic() + 20
            while time.monotonic() < deadline_s and not self.listens():
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def listens(self) -> bool:
        """Asked by a program, because a test itself reaches loopback only."""
        probe = (
            f"import socket; line = socket.create_connection(({self.address!r}, {self.port}), 1); "
            "line.settimeout(1); "
            "assert line.recv(4) == b'SSH-'"
        )
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
        return done.returncode == 0

    @contextlib.contextmanager
    def agent(self) -> Iterator[None]:
        process = subprocess.Popen(
            [*self.within, *EDGEWRIGHT, "agent", "run", "--home", str(self.home)]
        )
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
                *(*EDGEWRIGHT, "push", url or self.url),
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

    @property
    def url(self) -> str:
        return f"ssh://{self.user}@{self.address}:{self.port}"

    def active(self, name: str) -> str:
        """The bundle that a model runs; tests come in any order and push models of their own."""
        models = self.local("agent", "status")["models"]
        return next((model["active"] for model in models if model["model"] == name), "")


def checks(report: dict[str, Any]) -> dict[str, str]:
    """The verdict of each check of the first machine."""
    return {check["name"]: check["status"] for check in report["hosts"][0]["checks"]}
