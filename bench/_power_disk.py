"""Mounts a recording disk (`_power_mount`) for as long as something runs on it.

Needs root, /dev/fuse, libfuse and the package mfusepy.
"""

import contextlib
import ctypes.util
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgewright.errors import UnavailableError
from edgewright.testing.power import Change

MOUNT = Path(__file__).with_name("_power_mount.py")
WAIT_S = 60.0


def why_unavailable() -> str:
    """What is missing, "" when nothing is."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "only root may mount, and needs /dev/fuse"
    if importlib.util.find_spec("mfusepy") is None:
        return "absent: mfusepy (extra oracles)"
    if ctypes.util.find_library("fuse") is None and ctypes.util.find_library("fuse3") is None:
        return "absent: libfuse (Debian package libfuse2)"
    return ""


@contextlib.contextmanager
def recording(backing: Path, changes: Path) -> Iterator[Path]:
    """A mounted disk over a folder, whose changes are in a file when the block is over.

    Raises:
        UnavailableError: it cannot be mounted here.
    """
    if why := why_unavailable():
        raise UnavailableError(why, hint="apt-get install libfuse2, run it as root")
    mountpoint = backing.with_name(f"{backing.name}-mounted")
    mountpoint.mkdir()
    process = subprocess.Popen([sys.executable, MOUNT, backing, mountpoint, changes])
    try:
        _wait_for_mount(mountpoint, process)
        yield mountpoint
    finally:
        if mountpoint.is_mount():
            subprocess.run(["umount", mountpoint], check=True)
        else:
            process.kill()
        process.wait(timeout=WAIT_S)
        mountpoint.rmdir()


def read_changes(path: Path) -> list[Change]:
    """What was written down."""
    return msgspec.json.Decoder(Change).decode_lines(path.read_bytes())


def _wait_for_mount(mountpoint: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not mountpoint.is_mount():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise UnavailableError(
                f"the recording disk did not start ({process.poll()})", hint="is /dev/fuse usable?"
            )
        time.sleep(0.05)
