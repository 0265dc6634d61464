"""Remote commands on the device: fetched, done one after the other, told. Never a shell: the kinds
are those of `wire.remote_commands`, and `remote_commands` in agent.toml says which of them are
allowed here.

A command is handed out once. A cut before its report leaves it without one; the fleet shows that it
expired, and nobody does it twice. A report that is not taken, even at the second try, does not keep
the next command from being done: they came together.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

import msgspec

from edgewright.clock import Clock
from edgewright.errors import EdgewrightError
from edgewright.wire.device_api import Desired
from edgewright.wire.remote_commands import (
    COMMANDS,
    CommandReport,
    RemoteCommand,
    RemoteCommands,
)

TEXT_CHARACTERS = 4000
RETRY_PAUSE_S = 2.0

_log = logging.getLogger(__name__)


class Line(Protocol):
    """The way to the fleet."""

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """One request and the body of its answer.

        Raises:
            InputError: the fleet refused.
            TransportError: the fleet did not answer.
        """


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a deed: a line for people, and maybe a file."""

    text: str = ""
    upload: bytes = b""


Deed = Callable[[RemoteCommand], Awaitable[Done]]
"""Does one kind of command; an `EdgewrightError` is its failure."""


class RemoteHands:
    """Does what the fleet's people order from afar."""

    def __init__(
        self, line: Line, deeds: Mapping[str, Deed], *, allowed: Collection[str], clock: Clock
    ) -> None:
        self._line = line
        self._deeds = deeds
        self._allowed = frozenset(allowed)
        self._clock = clock
        self._work: asyncio.Task[None] | None = None

    def look(self, desired: Desired) -> None:
        """Begin to work if something waits and nothing is being done."""
        if desired.command and (self._work is None or self._work.done()):
            self._work = asyncio.get_running_loop().create_task(self._run(), name="remote-commands")

    async def close(self) -> None:
        """Let go of what is being done."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def work(self) -> None:
        """Do all that waits now.

        Raises:
            EdgewrightError: the fleet does not say what waits.
        """
        answer = await self._line.ask("GET", COMMANDS)
        fetched_s = self._clock.monotonic_s()
        for command in msgspec.json.decode(answer, type=RemoteCommands).commands:
            late = self._clock.monotonic_s() - fetched_s > command.lasts_s
            report = (
                CommandReport(outcome="failed", text="its time was over before it was its turn")
                if late
                else await self._report_of(command)
            )
            if not await self._is_told(command, report):
                await self._clock.sleep(RETRY_PAUSE_S)
                await self._is_told(command, report)

    async def _run(self) -> None:
        try:
            await self.work()
        except (EdgewrightError, msgspec.DecodeError) as error:
            _log.warning("remote commands: %s", error)

    async def _is_told(self, command: RemoteCommand, report: CommandReport) -> bool:
        path = f"{COMMANDS}/{command.number}/report"
        try:
            await self._line.ask("POST", path, msgspec.json.encode(report))
        except EdgewrightError as error:
            _log.warning("remote command number=%d was not told: %s", command.number, error)
            return False
        return True

    async def _report_of(self, command: RemoteCommand) -> CommandReport:
        _log.info("remote command number=%d kind=%s", command.number, command.kind)
        deed = self._deeds.get(command.kind)
        if command.kind not in self._allowed or deed is None:
            what = "not allowed by this device's agent.toml" if deed else "not known to this agent"
            return CommandReport(outcome="forbidden", text=f"{command.kind[:80]} is {what}")
        try:
            done = await deed(command)
            if done.upload:
                path = f"{COMMANDS}/{command.number}/upload"
                await self._line.ask("POST", path, done.upload)
        except EdgewrightError as error:
            return CommandReport(outcome="failed", text=str(error)[:TEXT_CHARACTERS])
        return CommandReport(outcome="done", text=done.text[:TEXT_CHARACTERS])
