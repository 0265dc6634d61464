"""Children of this process that end when it does: started with a log file, stopped by PID, never
left.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewright._fs import make_dirs
from edgewright.errors import DeviceError, TransportError

STOP_GRACE_S = 10.0

_LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running `edgewright` command and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The end of what it said."""
        return self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def wait_for(
        self, is_ready: Callable[[], object], *, timeout_s: float, what: str = "ready"
    ) -> None:
        """Wait until it is ready, or whatever else `what` names.

        Raises:
            DeviceError: it ended instead.
            TransportError: it was not ready in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_ready():
            if self.process.poll() is not None:
                raise DeviceError(
                    f"{self.name} ended with exit code {self.process.returncode}: {self.tail()}",
                    hint=f"see {self.log}",
                )
            if time.monotonic() > deadline_s:
                raise TransportError(
                    f"{self.name} was not {what} within {timeout_s:g} s: {self.tail()}",
                    hint=f"see {self.log}",
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(name: str, arguments: Sequence[str], *, log: Path) -> Iterator[Child]:
    """An `edgewright` command as a child for as long as the block lasts.

    It leads a process group of its own, so that Ctrl-C reaches this process alone and the child is
    stopped in order.
    """
    make_dirs(log.parent)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgewright", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    child = Child(name=name, process=process, log=log)
    try:
        yield child
    finally:
        child.stop()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
