"""All models of a server: load beside, try, switch, drain. No request meets a gap."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from edgewright._heap import trim_heap
from edgewright.device.serve.candidate import Candidate, OpenCandidate
from edgewright.device.serve.child_model import PATIENCE_RUNS
from edgewright.device.serve.directory import Directory, Newest
from edgewright.device.serve.passes import Resources
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.ports import OpenModel, Servable
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.serving import Admission, ServedModel
from edgewright.device.serve.shadow import Shadow
from edgewright.device.serve.splits import ReadParameters
from edgewright.device.serve.trial import no_rest, try_model
from edgewright.errors import EdgewrightError, InputError
from edgewright.wire.admin import SplitOrder, TryOrder
from edgewright.wire.candidate import CandidateFigures

CANDIDATES_AT_ONCE = 8
"""How many children may be starting; one that hangs must not keep another name waiting."""

Equip = Callable[[Servable], Servable]
"""Gives a model what belongs to the name that it is served by. Raises the errors of `errors.py`."""

_TRIM_EVERY_S = 60.0
"""Giving memory back holds up whoever asks for some meanwhile: not after each of many swaps."""

logger = logging.getLogger(__name__)


class Models:
    """The models that are served now. When a client names no version the newest one of its name
    answers, or those that share the name's requests by an order.
    """

    def __init__(
        self,
        open_model: OpenModel,
        *,
        admission: Admission,
        resources: Resources,
        limits: Mapping[str, Admission] | None = None,
        open_candidate: OpenCandidate | None = None,
        orders: Mapping[str, SplitOrder] | None = None,
        memory_limited: Container[str] = (),
        equip: Equip | None = None,
        trim: Callable[[], object] = trim_heap,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._open_model = open_model
        self._open_candidate = open_candidate
        self._candidates: dict[str, tuple[Candidate, ServedModel | None]] = {}
        self._spawner = ThreadPoolExecutor(
            CANDIDATES_AT_ONCE, thread_name_prefix="serve-candidates"
        )
        self._admission = admission
        self._limits = limits or {}
        self._memory_limited = memory_limited
        self._equip = equip
        self._trim = trim
        self._trimmed_s = -math.inf
        self._resources = resources
        self._loader = resources.loader
        self._turns: dict[str, asyncio.Lock] = {}
        self.directory = Directory(orders or {}, draw=draw, let_go=self._let_go)
        self._sources: dict[str, Path] = {}
        self._faults: dict[str, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.swaps = 0

    def __iter__(self) -> Iterator[ServedModel]:
        yield from self.directory

    @property
    def is_ready(self) -> bool:
        """Whether there is a model, and every one asked for answers."""
        current = self.directory.current
        return bool(current) and not self._faults.keys() - current.keys()

    @property
    def faults(self) -> dict[str, str]:
        """Why the last load of a name failed, where it did."""
        return dict(self._faults)

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """The model of a name; see `Directory.find`."""
        return self.directory.find(name, version)

    def choose(
        self,
        name: str,
        version: str | None,
        headers: Mapping[str, str],
        parameters: ReadParameters = dict,
    ) -> ServedModel:
        """The model that answers this request; see `Directory.choose`."""
        return self.directory.choose(name, version, headers, parameters)

    def is_known(self, name: str) -> bool:
        """Whether something was loaded under this name, now or before."""
        return name in self._sources

    def newest(self, name: str) -> Newest:
        """Where the one model of a name is found; see `Directory.newest`."""
        return self.directory.newest(name)

    def only(self, headers: Mapping[str, str] | None = None) -> ServedModel:
        """The one model that routes without a name mean: the first that was loaded.

        Raises:
            RefusalError: there is none.
        """
        for name, model in self.directory.current.items():
            return model if headers is None else self.choose(name, None, headers)
        raise RefusalError(503, "no model is loaded", reason="no_model", retry_after_s=1)

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions of a name that are served."""
        return tuple(self.directory.versions(name))

    async def load(self, path: Path, *, name: str | None = None, keep: bool = False) -> ServedModel:
        """Serve the model of this path. It replaces all versions of its name, unless told to keep
        them; until it has passed its trial the old one answers.

        Raises:
            EdgewrightError: it cannot be opened, or failed its trial; nothing has changed.
        """
        async with self._turn(name or path.stem):
            try:
                model = await self._opened(path, name)
            except EdgewrightError as error:
                self._faults[name or path.stem] = str(error)
                raise
            if keep:
                self._check_newcomer(model)
            self._faults.pop(model.name, None)
            self._dismiss(model.name)
            self._switch(model, keep=keep)
            self._sources[model.name] = path
        return model

    async def reload(self, name: str) -> ServedModel:
        """Load a name again from where it came.

        Raises:
            RefusalError: it was never loaded.
        """
        if name not in self._sources:
            raise self.directory.unknown(name, None)
        return await self.load(self._sources[name], name=name)

    async def unload(self, name: str, version: str | None = None) -> None:
        """Serve nothing under this name, or this version of it no more.

        Raises:
            RefusalError: nothing is, or requests go to that version.
        """
        async with self._turn(name):
            if name not in self.directory:
                raise self.directory.unknown(name, None)
            if version is not None:
                self._retire(self.directory.remove_version(name, version))
                return
            self._dismiss(name)
            for model in self.directory.remove(name) if name in self.directory else ():
                self._retire(model)

    async def arrange(self, name: str, order: SplitOrder) -> None:
        """Let versions of a name share its requests, and others be compared with them. Requests
        that were taken are answered by who took them.

        Raises:
            RefusalError: no such model, a candidate is tried, or the versions do not take and give
                the same.
            InputError: the order does not fit the versions.
        """
        async with self._turn(name):
            if name in self._candidates:
                raise RefusalError(
                    409, f"model {name!r} has a candidate; dismiss it first", reason="candidate"
                )
            self.directory.arrange(name, order)

    async def close(self) -> None:
        """Unload everything, once what runs has ended."""
        for name in self.directory.names:
            await self.unload(name)
        if self._closing:
            await asyncio.wait(self._closing)
        self._spawner.shutdown()
        self._loader.close()

    async def try_out(self, name: str, order: TryOrder) -> None:
        """Run a bundle beside the model of this name, mirrored or asked first. The same bundle in
        another mode goes on in the same child. One that nothing can be compared with leads alone.

        Raises:
            EdgewrightError: it cannot be opened, or failed its trial; nothing has changed.
            RefusalError: it cannot be mirrored: no such model, several versions, or other tensors.
        """
        async with self._turn(name):
            if self.directory.is_shared(name):
                raise RefusalError(
                    409, f"model {name!r} has versions that share its requests", reason="split"
                )
            versions = self.versions(name)
            if len(versions) > 1:
                raise RefusalError(
                    409,
                    f"model {name!r} has versions {', '.join(versions)}, a candidate is compared "
                    "with one alone; unload the others first",
                    reason="versions",
                )
            candidate, leader = self._candidates.get(name, (None, None))
            if candidate is None or candidate.path != Path(order.path):
                self._dismiss(name)
                candidate, leader = await self._opened_candidate(name, order), None
                self._candidates[name] = candidate, None
                if candidate.stand_in is not None:
                    candidate.stand_in.queue.mirror = candidate.mirror
            if order.mode == "lead" and leader is None:
                self._lead(name, candidate)

    async def dismiss(self, name: str) -> None:
        """Let the candidate of this name go; the model answers alone, at once."""
        async with self._turn(name):
            self._dismiss(name)

    def candidate(self, name: str) -> CandidateFigures:
        """What the candidate of this name did so far.

        Raises:
            RefusalError: there is none.
        """
        candidate, leader = self._candidates.get(name, (None, None))
        if candidate is None:
            raise RefusalError(404, f"model {name!r} has no candidate", reason="no_candidate")
        return candidate.figures(leader.queue.tally.answered if leader else 0)

    def _lead(self, name: str, candidate: Candidate) -> None:
        timer = self._resources.timer
        if candidate.stand_in is not None:
            candidate.stand_in.queue.mirror = None
        candidate.lead()
        single_s = candidate.model.child.patience_s / PATIENCE_RUNS
        plan = Plan(is_inline=False, max_rows=1, single_s=single_s, row_s=single_s)
        leader = ServedModel(
            candidate.servable,
            plan,
            admission=self._limits.get(name, self._admission),
            resources=self._resources,
        )
        leader.queue.fallback = partial(candidate.fall_back, leader.queue)
        self._candidates[name] = candidate, leader
        self._put(name, leader)
        logger.info("candidate leads: name=%s version=%s at=%g", name, leader.version, timer())

    def _dismiss(self, name: str) -> None:
        candidate, leader = self._candidates.pop(name, (None, None))
        if candidate is None:
            return
        if candidate.original is not None:
            candidate.original.queue.mirror = None
        if leader is None:
            self._later(name, candidate.close)
            return
        if candidate.original is not None:
            self._put(name, candidate.original)
        else:
            self.directory.remove(name)
        leader.queue.when_idle(partial(self._later, name, candidate.close))

    def _put(self, name: str, model: ServedModel) -> None:
        """Let this one answer for the name, and close none."""
        self.directory.put(name, model)
        self.swaps += 1

    def _turn(self, name: str) -> asyncio.Lock:
        """Whoever changes what answers for this name; other names go on."""
        return self._turns.setdefault(name, asyncio.Lock())

    async def _opened_candidate(self, name: str, order: TryOrder) -> Candidate:
        if self._open_candidate is None:
            raise RefusalError(501, "this server runs no candidates", reason="no_candidates")
        loop, path, timer = asyncio.get_running_loop(), Path(order.path), self._resources.timer
        original = self.directory.current.get(name)
        if original is None and order.mode != "lead":
            raise self.directory.unknown(name, None)
        start = partial(self._open_candidate, path, order.memory_mb)
        servable = await loop.run_in_executor(self._spawner, start)
        try:
            named = msgspec.structs.replace(servable, name=name)
            servable = await loop.run_in_executor(self._spawner, partial(self._equipped, named))
            plan = await loop.run_in_executor(self._spawner, partial(try_model, servable, timer))
        except BaseException:
            servable.model.close()
            raise
        servable.model.settle(plan.single_s)  # type: ignore[attr-defined]  # it is a ChildModel
        candidate = Candidate(path, servable, original, timer)
        if order.mode != "lead" and candidate.stand_in is None:
            candidate.close()
            raise RefusalError(
                409,
                f"{path.name[:12]} takes or gives other tensors than {name!r}",
                reason="incompatible",
            )
        return candidate

    async def _opened(self, path: Path, name: str | None) -> ServedModel:
        servable = await self._loader(lambda: self._open_model(path))
        try:
            if name is not None:
                self._check_renamed(servable.name, name)
                servable = msgspec.structs.replace(servable, name=name)
            servable = await self._loader(partial(self._equipped, servable))
            model = await self._loader(lambda: self._tried(servable))
        except EdgewrightError:
            servable.model.close()
            raise
        logger.info("model ready: name=%s version=%s", servable.name, servable.version)
        return model

    def _equipped(self, servable: Servable) -> Servable:
        return servable if self._equip is None else self._equip(servable)

    def _check_renamed(self, own: str, name: str) -> None:
        """A limit of memory is found by a model's own name, before anybody gave it another."""
        for limited in (own, name) if own != name else ():
            if limited in self._memory_limited:
                raise InputError(
                    f"model {own!r} cannot be loaded as {name!r}: memory_mb limits {limited!r}",
                    hint=f"load it as {own!r}, or build it with the name {name!r}",
                )

    def _tried(self, servable: Servable) -> ServedModel:
        """A model that passed its trial; all of it in the loader's thread, in short steps."""
        rest = self._loader.rest if self.directory.current else no_rest
        plan = try_model(servable, self._resources.timer, rest)
        rest()
        if servable.is_apart:
            plan = msgspec.structs.replace(plan, is_inline=False, may_run_alone=False)
        admission = self._limits.get(servable.name, self._admission)
        if servable.isolation is not None:
            # Its process takes one pass at a time, and the event loop never waits for a process.
            servable.isolation.settle(plan.expected_s(plan.max_rows))
            plan = msgspec.structs.replace(plan, is_inline=False, may_run_alone=False)
            admission = msgspec.structs.replace(admission, concurrency=1)
        return ServedModel(servable, plan, admission=admission, resources=self._resources)

    def _switch(self, model: ServedModel, *, keep: bool) -> None:
        replaced = self.directory.add(model, keep=keep)
        self.swaps += bool(replaced)
        for old in replaced:
            self._retire(old)

    def _check_newcomer(self, model: ServedModel) -> None:
        try:
            self.directory.check_newcomer(model)
        except RefusalError:
            self._close_later(model.servable)
            raise

    def _let_go(self, shadow: Shadow) -> None:
        """End a shadow's thread before anything closes its model."""
        shadow.comparing.stop()
        self._later(shadow.model.name, shadow.comparing.join)

    def _retire(self, model: ServedModel) -> None:
        """Close a model when its last request is answered."""
        model.when_idle(lambda: self._close_later(model.servable))

    def _close_later(self, servable: Servable) -> None:
        self._later(servable.name, partial(self._close, servable))

    def _close(self, servable: Servable) -> None:
        """Runs in the loader's thread. Holes that models leave between other things would add up
        with every swap.
        """
        servable.model.close()
        now_s = self._resources.timer()
        if now_s - self._trimmed_s >= _TRIM_EVERY_S:
            self._trimmed_s = now_s
            self._trim()

    def _later(self, name: str, work: Callable[[], None]) -> None:
        async def close() -> None:
            await self._loader(work)

        task = asyncio.get_running_loop().create_task(close(), name=f"close {name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
