"""Runs a process of ours with limits on its time and memory. What it says comes through pipes of
ours: one that it left behind may hold the other end for ever.
"""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

MIB = 1 << 20
WATCH_S = 0.05
OUTPUT_LIMIT_BYTES = 64 * 1024
LINGER_S = 0.5
"""How long the words of a process that has ended are still read."""
ADDRESS_SPACE_FACTOR = 8


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a process may use."""

    timeout_s: float = 120.0
    memory_mb: float = 1024.0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, why it was killed if it was, and the last that it said."""

    return_code: int
    why_killed: str
    stdout: bytes
    stderr: bytes

    @property
    def last_line(self) -> bytes:
        """Of what it printed; empty when it printed nothing."""
        lines = self.stdout.splitlines()
        return lines[-1] if lines else b""

    @property
    def complaint(self) -> str:
        """The end of what it complained of, as one line."""
        return " ".join(self.stderr.decode(errors="replace").split())[-300:] or "no message"


async def run_limited(command: Sequence[str], limits: ProcessLimits) -> Ended:
    """Run a command to its end. Whatever of its group it started ends with it.

    Raises:
        OSError: it could not be started.
    """
    with _Pipe() as said, _Pipe() as complained:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said.their_end,
            stderr=complained.their_end,
            start_new_session=True,
        )
        said.handed_over()
        complained.handed_over()
        why_killed = await _watched(process, limits)
        stdout, stderr = await said.last_words(), await complained.last_words()
    return Ended(
        return_code=process.returncode or 0, why_killed=why_killed, stdout=stdout, stderr=stderr
    )


async def _watched(process: asyncio.subprocess.Process, limits: ProcessLimits) -> str:
    """Wait for the end within the limits; the reason when it had to be killed."""
    ended = asyncio.ensure_future(process.wait())
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + limits.timeout_s
    _limit_address_space(process.pid, limits.memory_mb)
    try:
        while process.returncode is None:
            if loop.time() > deadline_s:
                return f"no verdict within {limits.timeout_s:g} s"
            used_mb = resident_mb(process.pid)
            if used_mb > limits.memory_mb:
                return f"used {used_mb:.0f} MB, the limit is {limits.memory_mb:g} MB"
            await asyncio.wait({ended}, timeout=WATCH_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await ended
    return ""


def resident_mb(pid: int) -> float:
    """How much memory a process holds, 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / MIB


def _limit_address_space(pid: int, memory_mb: float) -> None:
    """A second fence behind the watch: memory that grows faster than anybody looks. Engines reserve
    far more addresses than memory, so this one stands further out.
    """
    limit = int(memory_mb * MIB * ADDRESS_SPACE_FACTOR)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


class _Pipe:
    """Keeps the last part of what a process says; more than the limit is read and dropped."""

    def __init__(self) -> None:
        self._our_end, self.their_end = os.pipe()
        self._kept = b""
        self._is_over = asyncio.Event()

    def __enter__(self) -> Self:
        os.set_blocking(self._our_end, False)
        asyncio.get_running_loop().add_reader(self._our_end, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._our_end)
        os.close(self._our_end)
        self.handed_over()

    def handed_over(self) -> None:
        """Let go of the process's own end."""
        if self.their_end >= 0:
            os.close(self.their_end)
            self.their_end = -1

    async def last_words(self) -> bytes:
        """What was said, once the process has ended. Nobody is waited for who got the pipe from it:
        all that it said itself lies in there by now.
        """
        self._read()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._is_over.wait()
        return self._kept

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if chunk := os.read(self._our_end, OUTPUT_LIMIT_BYTES):
                self._kept = (self._kept + chunk)[-OUTPUT_LIMIT_BYTES:]
                return
            self._is_over.set()
            asyncio.get_running_loop().remove_reader(self._our_end)
