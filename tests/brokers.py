"""Real brokers for tests, on loopback."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.chain.processes import free_port


def wait_until_it_listens(port: int, *, seconds: float = 15.0) -> None:
    for _ in range(int(seconds / 0.05)):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port {port}")


class Mosquitto:
    """A broker that can be stopped and started again on the same port; it keeps nothing."""

    def __init__(self, folder: Path, *, lines: str = "allow_anonymous true") -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("absent: mosquitto (Debian package mosquitto)")
        self.port = free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._config.write_text(
            # One in flight: mosquitto keeps the order of what waited only then.
            f"listener {self.port} 127.0.0.1\nmax_inflight_messages 1\n{lines}\nuser root\n"
        )
        self._command = [program, "-c", str(self._config)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until_it_listens(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextlib.contextmanager
def running_mosquitto(folder: Path, *, lines: str = "allow_anonymous true") -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, lines=lines)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class RabbitMq:
    """A RabbitMQ node of its own, with an epmd of its own, under a folder."""

    def __init__(self, folder: Path) -> None:
        program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        if not program.is_file():
            pytest.skip("absent: rabbitmq-server (Debian package rabbitmq-server)")
        self.port = free_port()
        self._program = program
        self._environment = {
            "PATH": "/usr/lib/rabbitmq/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        (folder / "plugins").write_text("[].\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_it_listens(self.port, seconds=180)

    def cut_connections(self) -> None:
        node = self._environment["RABBITMQ_NODENAME"]
        subprocess.run(
            ["rabbitmqctl", "-n", node, "close_all_connections", "cut"],
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=200,
        )

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        subprocess.run(["epmd", "-kill"], env=self._environment, check=False, capture_output=True)


@contextlib.contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RabbitMq]:
    broker = RabbitMq(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
