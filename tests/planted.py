"""A foreign V2 server that doubles, with faults planted on request, and how it is judged here."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgewright.validate.soundness import SoundnessLimits

SERVER = Path(__file__).with_name("planted_server.py")

# Test machines are busy with other tests; what is tried here is not whether they are quiet.
BUSY = SoundnessLimits(
    steal_share=1.0,
    others_share=1.0,
    wait_share=1.0,
    frequency_ratio=0.0,
    lag_p95_s=1.0,
    settled_share=1.0,
)


@contextmanager
def planted(*faults: str) -> Iterator[str]:
    """A process of its own; gives its URL."""
    process = subprocess.Popen(
        [sys.executable, SERVER, *faults],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
