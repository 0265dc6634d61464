"""What a sensor of this device says, sent to the fleet while it is said: a remote command that a
device does only where its `agent.toml` allows it and names the sensor.

The sensor is read by a process of its own, which prints lines until its time is over. Their bytes
go to the fleet in parts, each with the byte it begins at, so that a part whose answer was lost can
be sent again. While the fleet is away they wait: at most one part here, the rest in the pipe, and
then the sensor's process stands still.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.device.agent.process import ending
from edgewright.device.agent.remote import Done, Line
from edgewright.errors import DeviceError, TransportError
from edgewright.wire.remote_commands import CAPTURE_MOST_S, COMMANDS, RemoteCommand

PART_BYTES = 256 << 10
PART_S = 0.5
"""What came in so long a time is sent together."""
RETRY_S = 2.0
PATIENCE_S = 60.0
"""So long after its time the last parts may take, or the sensor's process to end."""
_WORDS = 300

_log = logging.getLogger(__name__)


class Capture:
    """Runs `command SECONDS` and sends what it prints."""

    def __init__(
        self, command: Sequence[str], line: Line, *, clock: Clock, patience_s: float = PATIENCE_S
    ) -> None:
        self._command = command
        self._line = line
        self._clock = clock
        self._patience_s = patience_s

    async def run(self, command: RemoteCommand) -> Done:
        """Record until the command's time is over.

        Raises:
            DeviceError: nothing came, the sensor is gone, or the fleet stayed away.
            InputError: the fleet refused a part; it takes a limited number of bytes.
        """
        seconds = min(command.lasts_s, CAPTURE_MOST_S)
        try:
            async with asyncio.timeout(seconds + self._patience_s):
                sent = await self._recorded(command.number, seconds)
        except TimeoutError as error:
            raise DeviceError(
                f"the capture did not end within {seconds + self._patience_s:g} s"
            ) from error
        if not sent:
            raise DeviceError(f"nothing came from the sensor in {seconds:.3g} s")
        return Done(text=f"{sent} bytes in {seconds:.3g} s")

    async def _recorded(self, number: int, seconds: float) -> int:
        with _fs.file_errors(Path(self._command[0]), doing="starting"):
            process = await asyncio.create_subprocess_exec(
                *self._command,
                f"{seconds:.3f}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        said = asyncio.create_task(_last_words(process.stderr), name="capture-words")
        try:
            sent = await self._shipped(process.stdout, number)
            code = await process.wait()
            if code:
                raise DeviceError(f"the capture {ending(code)}: {await said or 'no word'}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            said.cancel()
        return sent

    async def _shipped(self, source: asyncio.StreamReader | None, number: int) -> int:
        """Send all that comes until its end; returns how many bytes that were."""
        waiting, sent, is_over = bytearray(), 0, source is None
        while waiting or not is_over:
            if source is not None and not is_over:
                is_over = await _gathered(source, waiting)
            part = bytes(waiting[:PART_BYTES])
            if part and await self._is_taken(number, sent, part):
                del waiting[: len(part)]
                sent += len(part)
        return sent

    async def _is_taken(self, number: int, at: int, part: bytes) -> bool:
        try:
            await self._line.ask("POST", f"{COMMANDS}/{number}/upload?at={at}", part)
        except TransportError as error:
            _log.warning("capture number=%d at=%d waits: %s", number, at, error)
            await self._clock.sleep(RETRY_S)
            return False
        return True


async def _gathered(source: asyncio.StreamReader, waiting: bytearray) -> bool:
    """Read for a moment, or until there is a part; whether that was all."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PART_S):
            while len(waiting) < PART_BYTES:
                chunk = await source.read(PART_BYTES - len(waiting))
                if not chunk:
                    return True
                waiting += chunk
    return False


async def _last_words(stream: asyncio.StreamReader | None) -> str:
    words = b""
    while stream is not None and (chunk := await stream.read(4096)):
        words = (words + chunk)[-4096:]
    return " ".join(words.decode(errors="replace").split())[-_WORDS:]
