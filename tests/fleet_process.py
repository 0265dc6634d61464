"""A real `edgewright fleet serve` on loopback, for the tests of many rooms."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ANY_PORT = "127.0.0.1:0"


class FleetProcess(NamedTuple):
    """One that is ready: the process, and where it listens."""

    process: "subprocess.Popen[bytes]"
    people: str
    devices: str

    def stop(self, patience_s: float = 40.0) -> int:
        """End it as a person would."""
        self.process.terminate()
        code = self.process.wait(patience_s)
        if self.process.stdout:
            self.process.stdout.close()
        return code


def start_fleet(
    home: Path, *flags: str, people: str = ANY_PORT, devices: str = ANY_PORT
) -> FleetProcess:
    """Start one and wait until both listeners answer."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edgewright", "fleet", "serve", "--json", *flags),
            *("--home", str(home), "--listen", people, "--devices", devices),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    text = b""
    while not text.rstrip().endswith(b"}"):
        line = process.stdout.readline()
        if not line:
            process.wait(20)
            process.stdout.close()
            pytest.fail("the fleet ended before it was ready")
        text += line
    ready = json.loads(text)
    return FleetProcess(process, ready["people"], ready["devices"])


@contextmanager
def fleet_serving(home: Path, *flags: str) -> Iterator[FleetProcess]:
    """One for as long as the block lasts."""
    made = start_fleet(home, *flags)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.stop()
