"""A server process that this agent started, or found running after its own crash."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import struct
from pathlib import Path
from typing import Protocol


class Process(Protocol):
    """A running process."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""

    async def wait(self) -> str:
        """Until it has ended; returns how, as far as can be known."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal; an ended process gets none."""


class Child:
    """A process of our own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> str:
        return ending(await self._process.wait())

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


class Adopted:
    """A process that an earlier agent left, held by a file descriptor so that its number cannot be
    taken over by another one.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    @property
    def is_alive(self) -> bool:
        return not select.select([self._handle], [], [], 0)[0]

    async def wait(self) -> str:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._handle)
        return "ended, an earlier agent was its parent"

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._handle)


def find_listener(path: Path) -> Adopted | None:
    """The process that listens on a Unix socket, None when nobody does."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, _, _ = struct.unpack("3i", packed)
        return Adopted(pid)
    return None


def find_server(path: Path) -> Adopted | None:
    """The process that listens on an admin socket, or was started by this user to do so and is not
    as far yet; None when there is none.
    """
    if found := find_listener(path):
        return found
    argument = b"\0--admin\0%s\0" % os.fsencode(path)
    for folder in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.geteuid() and argument in (
                folder.joinpath("cmdline").read_bytes()
            ):
                return Adopted(int(folder.name))
    return None


def ending(return_code: int) -> str:
    """How a process ended, in words.

    >>> ending(3), ending(-11)
    ('ended with code 3', 'died by SIGSEGV')
    """
    if return_code >= 0:
        return f"ended with code {return_code}"
    try:
        return f"died by {signal.Signals(-return_code).name}"
    except ValueError:
        return f"died by signal {-return_code}"
