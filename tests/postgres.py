"""A real PostgreSQL server for tests, on loopback, in a folder of its own; never as root."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.brokers import wait_until_it_listens

from edgewright.chain.processes import free_port

USER = "postgres"


class PostgreSql:
    """A server; `new_url` makes an empty database in it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder, self._programs = folder, programs
        self.port = free_port()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-U", "edge", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync")  # fmt: skip

    def start(self) -> None:
        command = self._command(
            "postgres", "-D", str(self._folder / "data"), "-h", "127.0.0.1", "-p", str(self.port),
            "-k", str(self._folder), "-c", "fsync=off", "-c", "shared_buffers=16MB",
            "-c", "max_connections=60",
        )  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        wait_until_it_listens(self.port)
        ready = self._command("pg_isready", "-h", "127.0.0.1", "-p", str(self.port))
        for _ in range(300):
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        pytest.fail((self._folder / "log").read_text())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Like a host that is away: connections stay, nobody answers."""
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        everybody = [main, *map(int, children)]
        try:
            for pid in everybody:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in everybody:
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._run("pg_ctl", "stop", "-D", str(self._folder / "data"), "-m", "immediate")
            self._process.wait(20)
            self._process = None

    def new_url(self) -> str:
        name = f"fleet{next(self._numbers)}"
        self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return f"postgresql://edge@127.0.0.1:{self.port}/{name}"

    def sql(self, database: str, text: str) -> str:
        return self._run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "edge", "-d",
                         database, "-qAtc", text)  # fmt: skip

    def _command(self, name: str, *arguments: str) -> list[str]:
        found = self._programs / name
        program = str(found) if found.exists() else name
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        return [*(as_user if os.geteuid() == 0 else []), program, *arguments]

    def _run(self, name: str, *arguments: str) -> str:
        done = subprocess.run(
            self._command(name, *arguments), cwd=self._folder, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running_postgres() -> Iterator[PostgreSql]:
    """In /tmp, because its user cannot look into a folder of root's."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or not (programs[-1] / "initdb").exists():
        pytest.skip("absent: initdb (Debian package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="edgewright-postgres-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server: PostgreSql | None = None
    try:
        server = PostgreSql(folder, programs[-1])
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)
