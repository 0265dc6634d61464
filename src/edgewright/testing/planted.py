"""A foreign V2 server that doubles, with faults planted on request, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def planted(*faults: str) -> Iterator[str]:
    """Run the server; gives its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewright.testing.planted_server", *faults],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process.stdout.readline().strip() if process.stdout else ""
    finally:
        process.communicate(timeout=20)
