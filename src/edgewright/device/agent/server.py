"""The serving process: started, told what to serve over its admin socket, restarted when it dies.

An agent that starts and finds a server on the socket keeps it: clients do not notice that the agent
crashed. It waits for one that the agent before had just started. A server that dies is started
again with the same models; one that dies three times in five minutes is reported as broken, and the
agent returns to earlier bundles. One that hangs is not ready and is killed before the next bundle
is shown: a candidate that blocks it cannot block the way back.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.device.agent.ports import CandidateSample, ServingSample
from edgewright.device.agent.process import Child, Process, find_server
from edgewright.device.agent.server_answers import candidate_from, problem_of, sample_from
from edgewright.errors import DeviceError, EdgewrightError, ResourceError, TransportError
from edgewright.transports.http1 import Client
from edgewright.wire import v2
from edgewright.wire.admin import LoadOrder, TryOrder

START_S = 60.0
STOP_S = 10.0
BROKEN_DEATHS = 3
BROKEN_WINDOW_S = 300.0
RESTART_PAUSE_S, RESTART_PAUSE_MOST_S = 0.5, 60.0
"""Before a dead server is started anew: at first, and when that fails again and again."""
LOG_LIMIT_BYTES = 4 << 20

_log = logging.getLogger(__name__)


class ServerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How to start the server: its command line, its admin socket, where its messages go. It hangs
    when it does not answer the simplest question within `patience_s`.
    """

    command: Sequence[str]
    admin: Path
    log: Path
    patience_s: float = 10.0
    candidate_memory_mb: float = 0.0


class ServerProcess:
    """The one server of this device."""

    is_on = True

    def __init__(self, order: ServerOrder, clock: Clock) -> None:
        self._order = order
        self._clock = clock
        self._client = Client(uds=order.admin, timeout_s=START_S)
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._folders: dict[str, Path] = {}
        self._candidates: dict[str, Path] = {}
        self._deaths: list[float] = []
        self._last_death = ""
        self._lock = asyncio.Lock()
        """Held while the process is started or loads a model in itself."""
        self._turns: dict[str, asyncio.Lock] = {}
        """Held while a model's answers change; the way back waits for no other model."""
        self.on_broken: Callable[[str], None] = _log.error

    @property
    def pid(self) -> int | None:
        """The number of the process, None when there is none."""
        return self._process.pid if self._process else None

    async def show(self, model: str, folder: Path) -> None:
        """Serve the bundle of this folder under the model's name; back when it is ready.

        Raises:
            DeviceError: the server cannot run it, and goes on with what it had.
            ResourceError: no server can be started here.
        """
        async with self._turn(model):
            is_shown = self._is_alive and self._folders.get(model) == folder
            if is_shown and await self._dismissed(model):
                return
            async with self._lock:
                await self._loaded(model, folder)

    async def try_out(self, model: str, folder: Path, *, leads: bool) -> None:
        """See `Server`; raises ResourceError too, when the server itself ended meanwhile."""
        order = TryOrder(
            path=str(folder),
            mode="lead" if leads else "shadow",
            memory_mb=self._order.candidate_memory_mb,
        )
        path = f"/v2/repository/models/{model}/candidate"
        async with self._turn(model):
            if not self._is_alive:
                await self.start()
            try:
                answer = await self._client.request("POST", path, body=v2.encode(order))
            except TransportError as error:
                why = await self._why(error)
                if self._is_alive:
                    raise DeviceError(f"candidate: {why}") from error
                raise ResourceError(f"the server ended, not by the candidate: {why}") from error
            if answer.status != 200:
                raise DeviceError(f"candidate: {problem_of(answer)}", hint="the old model stays")
            self._candidates[model] = folder

    async def candidate(self, model: str) -> CandidateSample | None:
        if model not in self._candidates:
            return None
        path = f"/v2/repository/models/{model}/candidate"
        with contextlib.suppress(TransportError):
            answer = await self._client.request("GET", path)
            if answer.status == 200:
                return candidate_from(answer.body)
        return None

    async def withdraw(self, model: str) -> None:
        """Serve nothing under this name."""
        async with self._turn(model):
            self._folders.pop(model, None)
            self._candidates.pop(model, None)
            with contextlib.suppress(TransportError):
                await self._client.request("POST", f"/v2/repository/models/{model}/unload")

    async def sample(self, model: str) -> ServingSample:
        """How the model does; a server that does not answer is not ready."""
        patience_s = self._order.patience_s
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._client.request("GET", f"/v2/models/{model}/stats")
        except TimeoutError:
            return ServingSample(is_ready=False, reason=f"no answer within {patience_s:g} s")
        except TransportError as error:
            return ServingSample(is_ready=False, reason=self._last_death or str(error))
        if answer.status != 200:
            return ServingSample(is_ready=False, reason=problem_of(answer))
        return sample_from(answer.body)

    async def leave(self) -> None:
        """Let the server go on; the next agent finds it."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._client.close()

    async def stop(self) -> None:
        """End the server: a polite signal first, so that it answers what it has taken. When ours
        died because another one was there before it, end that one.
        """
        await self.leave()
        process, self._process = self._process, None
        if process is not None:
            await _ended(process)
        if other := find_server(self._order.admin):
            await _ended(other)

    async def restart(self) -> None:
        """End the server and have a new one serve the same; it does not answer in between.

        Raises:
            ResourceError: none can be started here now; it is tried again until it serves.
        """
        async with self._lock:
            await self.stop()
            try:
                await self._ensure()
            except ResourceError:
                self._watch = asyncio.create_task(self._revived(), name="server")
                raise

    async def start(self) -> None:
        """Have a server, though it may serve nothing yet.

        Raises:
            ResourceError: none can be started here.
        """
        async with self._lock:
            await self._ensure()

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive

    def _turn(self, model: str) -> asyncio.Lock:
        return self._turns.setdefault(model, asyncio.Lock())

    async def _loaded(self, model: str, folder: Path) -> None:
        """Load a bundle in the server itself, or keep what it had."""
        before = self._folders.pop(model, None)
        await self._ensure()
        try:
            await self._load(model, folder)
        except EdgewrightError as error:
            why = await self._why(error)
            if before:
                self._folders[model] = before
            await self._ensure()
            raise DeviceError(f"server: {why}", hint="the old model stays") from error
        self._folders[model] = folder
        self._candidates.pop(model, None)

    async def _ensure(self) -> None:
        """A process that answers on the admin socket, with all models that it is to serve."""
        if self._process and self._process.is_alive:
            if await self._answers():
                return
            _log.warning("the server hangs and is killed")
            self._process.send(signal.SIGKILL)
            await self._process.wait()
        self._candidates.clear()
        self._process = find_server(self._order.admin) or await self._spawn()
        await self._answering(self._process)
        if self._watch and self._watch is not asyncio.current_task():
            self._watch.cancel()
        self._watch = asyncio.create_task(self._watched(self._process), name="server")
        for model, folder in tuple(self._folders.items()):
            if self._folders.get(model) != folder:  # withdrawn while another one was loaded
                continue
            try:
                await self._load(model, folder)
            except EdgewrightError as error:
                _log.error("model=%s is not served: %s", model, error)

    async def _dismissed(self, model: str) -> bool:
        """Let a candidate go; whether the model is served alone now."""
        if self._candidates.pop(model, None) is None:
            return True
        path = f"/v2/repository/models/{model}/dismiss"
        try:
            async with asyncio.timeout(self._order.patience_s):
                answer = await self._client.request("POST", path)
        except (TimeoutError, TransportError):
            return False
        return answer.status == 200

    async def _answers(self) -> bool:
        """Whether the server that runs answers the simplest question in time."""
        try:
            async with asyncio.timeout(self._order.patience_s):
                await self._client.request("POST", "/v2/repository/index")
        except (TimeoutError, TransportError):
            return False
        return True

    async def _why(self, error: EdgewrightError) -> str:
        """A load failed; when the process ended of it, that is the better reason."""
        if isinstance(error, TransportError) and self._process:
            with contextlib.suppress(TimeoutError):
                return f"it {await asyncio.wait_for(self._process.wait(), 1.0)} while loading"
        return str(error)

    async def _spawn(self) -> Process:
        order = self._order
        if order.log.exists() and order.log.stat().st_size > LOG_LIMIT_BYTES:
            _fs.truncate(order.log, 0)
        with _fs.file_errors(order.log, doing="writing"), order.log.open("ab") as log:
            return Child(
                await asyncio.create_subprocess_exec(
                    *order.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    async def _answering(self, process: Process) -> None:
        """Wait until the admin socket answers.

        Raises:
            ResourceError: the process ended first, or does not answer in time.
        """
        ended = asyncio.ensure_future(process.wait())
        try:
            async with asyncio.timeout(START_S):
                while not ended.done():
                    with contextlib.suppress(TransportError):
                        answer = await self._client.request("POST", "/v2/repository/index")
                        if answer.status == 200:
                            return
                    await asyncio.wait({ended}, timeout=0.05)
        except TimeoutError:
            process.send(signal.SIGKILL)
            await ended
        finally:
            ended.cancel()
        self._process = None
        raise ResourceError(
            f"the server did not start: {ended.result()}; {_tail(self._order.log)}",
            hint=f"see {self._order.log}",
        )

    async def _load(self, model: str, folder: Path) -> None:
        body = v2.encode(LoadOrder(path=str(folder)))
        path = f"/v2/repository/models/{model}/load"
        answer = await self._client.request("POST", path, body=body)
        if answer.status != 200:
            raise DeviceError(problem_of(answer))

    async def _watched(self, process: Process) -> None:
        """Start the server again when it dies, until cancelled."""
        how = await process.wait()
        self._last_death = f"the server {how}"
        _log.warning("%s; %s", self._last_death, _tail(self._order.log))
        now_s = self._clock.monotonic_s()
        self._deaths = [at_s for at_s in self._deaths if now_s - at_s < BROKEN_WINDOW_S] + [now_s]
        if len(self._deaths) >= BROKEN_DEATHS:
            self._deaths = []
            self.on_broken(f"{self._last_death}, {BROKEN_DEATHS} times in a short while")
        await self._revived()

    async def _revived(self) -> None:
        """Try to have a server again, ever more seldom, until one serves or this is cancelled."""
        pause_s = RESTART_PAUSE_S
        while True:
            await self._clock.sleep(pause_s)
            try:
                async with self._lock:
                    if not self._is_alive:
                        await self._ensure()
            except ResourceError as error:
                pause_s = min(2 * pause_s, RESTART_PAUSE_MOST_S)
                _log.error("no server runs, the next try is in %g s: %s", pause_s, error)
            else:
                return


async def _ended(process: Process) -> None:
    process.send(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.send(signal.SIGKILL)
        await process.wait()


def _tail(path: Path, *, size_bytes: int = 300) -> str:
    """The last words of a log."""
    if not path.exists():
        return "it said nothing"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size_bytes))
        return " ".join(file.read().decode(errors="replace").split())
