"""Another machine as the place where variants are measured: files are copied into a folder of ours
there, its own `edgewright measure` runs them beside fp32, and figures come back. So latencies hold
no network. Importing this file needs the extra `ssh`.

A variant that could not be measured there has a reason; a link that breaks is tried once more.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from edgewright._npz import encode_npz
from edgewright.chain.ssh_folder import RemoteFolder, remote_folder
from edgewright.chain.ssh_machine import SshMachine
from edgewright.chain.weighing import LIMIT_S as WEIGH_LIMIT_S
from edgewright.errors import DeviceError, EdgewrightError, InputError, TransportError
from edgewright.fleet.push.remote import Remote
from edgewright.measure import Machine
from edgewright.measure.comparison import Comparison, FileMeasured
from edgewright.runtimes.base import Array
from edgewright.transports.ssh import connected
from edgewright.workbench.optimize.place import Measured, Subject
from edgewright.workbench.optimize.trial import engine_feeds

_START_S = 120.0
_EACH_S = 30.0
_LEAST_ROUNDS = "2"

T = TypeVar("T")


class SshPlace:
    """A machine behind SSH, connected while the block lasts; see `Place`."""

    def __init__(self, machine: SshMachine, *, threads: int, seed: int) -> None:
        self._address = machine
        self._common = ("--threads", str(threads), "--seed", str(seed), "--json")
        self._lost = ""
        self._has_relinked = False
        self._machine: Machine | None = None
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        self._loop = _LoopThread()
        self._open = AsyncExitStack()
        try:
            self._link = self._loop.run(self._open.enter_async_context(_linked(self._address)))
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._loop.run(self._open.aclose())
        finally:
            self._loop.close()

    @property
    def name(self) -> str:
        """As people write it."""
        return self._link.remote.machine.name

    @property
    def machine(self) -> Machine:
        """What it says of itself, once it has measured."""
        if self._machine is None:
            raise DeviceError(f"{self.name} has measured nothing")
        return self._machine

    def time(
        self,
        subjects: Sequence[Subject],
        inputs: Mapping[str, Array],
        *,
        rounds: int,
        seconds: float,
        with_energy: bool,
    ) -> list[Measured]:
        """See `Place.time`."""
        wanted = ["--rounds", str(rounds), "--seconds", f"{seconds:g}"]
        wanted += ["--energy"] if with_energy else []
        return self._measured(subjects, inputs, wanted, patience_s=2 * seconds)

    def weigh(self, subjects: Sequence[Subject], inputs: Mapping[str, Array]) -> list[Measured]:
        """See `Place.weigh`."""
        wanted = ["--memory", "--rounds", _LEAST_ROUNDS]
        return self._measured(subjects, inputs, wanted, patience_s=WEIGH_LIMIT_S * len(subjects))

    def _measured(
        self,
        subjects: Sequence[Subject],
        inputs: Mapping[str, Array],
        wanted: list[str],
        *,
        patience_s: float,
    ) -> list[Measured]:
        """All together; one by one where their process fails, to find out on which."""
        try:
            return self._compared(subjects, inputs, wanted, patience_s)
        except TransportError as error:
            return self._none(subjects, error.message)
        except EdgewrightError as error:
            if len(subjects) == 1:
                return self._none(subjects, error.message)
        found = [self._measured(subjects[:1], inputs, wanted, patience_s=patience_s)[0]]
        for one in subjects[1:]:
            try:
                pair = self._compared([subjects[0], one], inputs, wanted, patience_s)
                found.append(pair[1])
            except EdgewrightError as error:
                found += self._none([one], error.message)
        return found

    def _none(self, subjects: Sequence[Subject], reason: str) -> list[Measured]:
        return [Measured(reason=reason) for _ in subjects]

    def _compared(
        self,
        subjects: Sequence[Subject],
        inputs: Mapping[str, Array],
        wanted: list[str],
        patience_s: float,
    ) -> list[Measured]:
        limit_s = patience_s + _START_S + _EACH_S * len(subjects)
        feeds, arguments = _feeds(subjects, inputs), [*wanted, *self._common]
        paths = [one.path for one in subjects]
        if self._lost:
            raise TransportError(self._lost)
        try:
            answer = self._loop.run(self._link.measure(paths, feeds, arguments, limit_s))
        except TransportError as error:
            self._relink(error)
            answer = self._loop.run(self._link.measure(paths, feeds, arguments, limit_s))
        self._machine = answer.machine
        self._note(f"latency: {answer.clock} on {self.name}")
        self._note(answer.energy)
        return [_told(one) for one in answer.files]

    def _relink(self, error: TransportError) -> None:
        """Connect once more in a search.

        Raises:
            TransportError: that did not help before, or does not now.
        """
        try:
            self._loop.run(self._open.aclose())
            if self._has_relinked:
                raise error
            self._has_relinked = True
            self._open = AsyncExitStack()
            self._link = self._loop.run(self._open.enter_async_context(_linked(self._address)))
        except EdgewrightError as last:
            self._lost = last.message
            self._note(f"the link to {self.name} was lost: what came later was not measured")
            raise TransportError(self._lost) from error

    def _note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)


class _Link:
    """One connection, the program there, the folder, and what lies in it."""

    def __init__(self, remote: Remote, folder: RemoteFolder) -> None:
        self.remote = remote
        self._folder = folder
        self._sent: dict[str, str] = {}

    async def measure(
        self, paths: Sequence[Path], feeds: bytes, arguments: list[str], limit_s: float
    ) -> Comparison:
        """What `edgewright measure` says there of files of ours.

        Raises:
            EdgewrightError: that machine's own branch, with its own words.
        """
        there = [await self._at(path) for path in paths]
        name = f"{sha256(feeds).hexdigest()[:24]}.npz"
        if name not in self._sent:
            self._sent[name] = await self._folder.send_bytes(feeds, name)
        try:
            content = await self.remote.measure(
                [*there, "--inputs", self._sent[name], *arguments], timeout_s=limit_s
            )
        except EdgewrightError as error:
            raise type(error)(error.message.replace(f"{self._folder.path}/", "")) from error
        return _decoded(content, there, self.remote.machine.name)

    async def _at(self, path: Path) -> str:
        """Where a file lies there; it is sent once."""
        name = f"{sha256(str(path).encode()).hexdigest()[:24]}{path.suffix}"
        if name not in self._sent:
            self._sent[name] = await self._folder.send(path, name)
        return self._sent[name]


@asynccontextmanager
async def _linked(machine: SshMachine) -> AsyncIterator[_Link]:
    async with connected(machine.target) as host:
        remote = await Remote.found(host, program=machine.program)
        if not remote.facts.edgewright:
            raise DeviceError(
                f"{host.name}: no edgewright was found",
                hint="install it there (`edgewright push --wheelhouse` does), or give --edgewright",
            )
        async with remote_folder(host) as folder:
            yield _Link(remote, folder)


def _feeds(subjects: Sequence[Subject], inputs: Mapping[str, Array]) -> bytes:
    """The arrays of one call, under the names that each file's engine has for them.

    Raises:
        InputError: two files call different arrays by one name.
    """
    feeds: dict[str, Array] = {}
    for one in subjects:
        for name, array in engine_feeds(one.session, inputs).items():
            if name in feeds and feeds[name] is not array and not _same(feeds[name], array):
                raise InputError(f"{one.path.name} calls another input {name!r}")
            if name not in feeds or len(array) > len(feeds[name]):
                feeds[name] = array
    return encode_npz(feeds)


def _same(one: Array, other: Array) -> bool:
    rows = min(len(one), len(other))
    return one.shape[1:] == other.shape[1:] and bool((one[:rows] == other[:rows]).all())


def _decoded(content: bytes, there: Sequence[str], name: str) -> Comparison:
    try:
        answer = msgspec.json.decode(content, type=Comparison)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"{name}: its figures are not understood: {error}",
            hint="install the same edgewright on both machines",
        ) from error
    if [one.file for one in answer.files] != list(there):
        raise TransportError(f"{name}: it measured other files than it was asked to")
    return answer


def _told(one: FileMeasured) -> Measured:
    return Measured(
        ratio=one.latency_ratio,
        latency_ms=one.latency_ms.value if one.latency_ms else None,
        rounds=one.rounds,
        energy_ratio=one.energy_ratio,
        memory_bytes=one.memory_bytes,
        reason=one.reason,
    )


class _LoopThread:
    """An event loop of its own, so that the link is kept alive while the search computes."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="ssh-place", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a piece of work; one that is interrupted is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
