"""A machine behind SSH as the place where variants are measured: files are copied into a folder of
ours there, and its `edgewright measure` runs them. Importing this file needs the extra `ssh`.

A link that breaks is tried once more.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from edgewright.chain.measuring_afar import PlaceAfar, Wish, decode_comparison
from edgewright.chain.ssh_folder import RemoteFolder, remote_folder
from edgewright.chain.ssh_machine import SshMachine
from edgewright.errors import DeviceError, EdgewrightError, TransportError
from edgewright.fleet.push.remote import Remote
from edgewright.measure.comparison import Comparison
from edgewright.transports.ssh import connected

T = TypeVar("T")


@contextmanager
def ssh_place(machine: SshMachine, *, threads: int, seed: int) -> Iterator[PlaceAfar]:
    """The machine as a `Place`, connected while the block lasts.

    Raises:
        TransportError: it does not answer.
        DeviceError: it has no edgewright.
    """
    with _Connected(machine) as afar:
        afar.place = PlaceAfar(afar, threads=threads, seed=seed)
        yield afar.place


class _Connected:
    """See `Afar`."""

    place: PlaceAfar

    def __init__(self, machine: SshMachine) -> None:
        self._address = machine
        self._lost = ""
        self._has_relinked = False

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

    def compare(self, paths: Sequence[Path], feeds: bytes, wish: Wish) -> Comparison:
        """See `Afar.compare`."""
        if self._lost:
            raise TransportError(self._lost)
        try:
            return self._loop.run(self._link.measure(paths, feeds, wish))
        except TransportError as error:
            self._relink(error)
            return self._loop.run(self._link.measure(paths, feeds, wish))

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
            self.place.note(f"the link to {self.name} was lost: what came later was not measured")
            raise TransportError(self._lost) from error


class _Link:
    """One connection, the program there, the folder, and what lies in it."""

    def __init__(self, remote: Remote, folder: RemoteFolder) -> None:
        self.remote = remote
        self._folder = folder
        self._sent: dict[str, str] = {}

    async def measure(self, paths: Sequence[Path], feeds: bytes, wish: Wish) -> Comparison:
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
                [*there, "--inputs", self._sent[name], *_arguments(wish)], timeout_s=wish.limit_s
            )
        except EdgewrightError as error:
            raise type(error)(error.message.replace(f"{self._folder.path}/", "")) from error
        return decode_comparison(content, there, self.remote.machine.name)

    async def _at(self, path: Path) -> str:
        """Where a file lies there; it is sent once."""
        name = f"{sha256(str(path).encode()).hexdigest()[:24]}{path.suffix}"
        if name not in self._sent:
            self._sent[name] = await self._folder.send(path, name)
        return self._sent[name]


def _arguments(wish: Wish) -> list[str]:
    words = ["--rounds", str(wish.rounds), "--seconds", f"{wish.seconds:g}"]
    words += ["--energy"] if wish.with_energy else []
    words += ["--memory"] if wish.with_memory else []
    return [*words, "--threads", str(wish.threads), "--seed", str(wish.seed), "--json"]


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
