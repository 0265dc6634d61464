"""Golden requests through the server, sent by a process of its own: numpy stays out of the agent,
and whatever hangs there hangs without it.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.device.agent.ports import Answer
from edgewright.device.agent.process import ending
from edgewright.errors import ResourceError

LINE_LIMIT_BYTES = 64 * 1024
SILENCE_S = 60.0
STARTS_MOST = 3

_decoder = msgspec.json.Decoder(Answer)


class ProcessReplay:
    """Runs `command FOLDER MODEL PACE_S`, which prints an `Answer` as JSON per line."""

    def __init__(self, command: Sequence[str], *, silence_s: float = SILENCE_S) -> None:
        self._command = command
        self._silence_s = silence_s

    async def answers(
        self, model: str, folder: Path, *, pace_s: float
    ) -> AsyncGenerator[Answer, None]:
        """The answers as they come; a process that ends is started again, a few times.

        Raises:
            ResourceError: it ended too often, or says nothing.
        """
        why = ""
        for _ in range(STARTS_MOST):
            process = await self._started(model, folder, pace_s)
            try:
                while line := await self._line(process):
                    yield _decoder.decode(line)
                why = ending(await process.wait())
            except (TimeoutError, ValueError, msgspec.DecodeError) as error:
                why = str(error) or f"said nothing for {self._silence_s:g} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        raise ResourceError(
            f"golden requests for {model!r} cannot be sent: their process {why}",
            hint="see server.log in the agent's home",
        )

    async def _started(self, model: str, folder: Path, pace_s: float) -> asyncio.subprocess.Process:
        with _fs.file_errors(folder, doing="replaying golden requests of"):
            return await asyncio.create_subprocess_exec(
                *self._command,
                str(folder),
                model,
                f"{pace_s:g}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                limit=LINE_LIMIT_BYTES,
            )

    async def _line(self, process: asyncio.subprocess.Process) -> bytes:
        if process.stdout is None:
            return b""
        async with asyncio.timeout(self._silence_s):
            return await process.stdout.readline()
