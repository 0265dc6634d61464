"""All models of a server: load beside, try, switch, drain. No request meets a gap."""

import asyncio
import math
import random
from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from pathlib import Path

from edgewright._heap import trim_heap
from edgewright.device.serve.candidate import OpenCandidate
from edgewright.device.serve.directory import Directory, Newest
from edgewright.device.serve.opening import Equip, Opening
from edgewright.device.serve.passes import Resources
from edgewright.device.serve.ports import OpenModel, Servable
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.serving import Admission, ServedModel
from edgewright.device.serve.shadow import Shadow
from edgewright.device.serve.splits import ReadParameters
from edgewright.device.serve.trials import Trials
from edgewright.errors import EdgewrightError
from edgewright.wire.admin import SplitOrder, TryOrder
from edgewright.wire.candidate import CandidateFigures

_TRIM_EVERY_S = 60.0
"""Giving memory back holds up whoever asks for some meanwhile: not after each of many swaps."""


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
        self._opening = Opening(
            open_model,
            admission=admission,
            limits=limits or {},
            resources=resources,
            memory_limited=memory_limited,
            equip=equip,
        )
        self._trim = trim
        self._trimmed_s = -math.inf
        self._resources = resources
        self._loader = resources.loader
        self._turns: dict[str, asyncio.Lock] = {}
        self.directory = Directory(orders or {}, draw=draw, let_go=self._let_go)
        self._trials = Trials(
            open_candidate,
            opening=self._opening,
            resources=resources,
            directory=self.directory,
            put=self._put,
            later=self._later,
        )
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
                model = await self._opening.open(path, name, rests=bool(self.directory.current))
            except EdgewrightError as error:
                self._faults[name or path.stem] = str(error)
                raise
            if keep:
                self._check_newcomer(model)
            self._faults.pop(model.name, None)
            self._trials.dismiss(model.name)
            self._switch(model, keep=keep)
            self._sources[model.name] = path
        return model

    async def reload(self, name: str) -> ServedModel:
        """Load a name again from where it came.

        Raises:
            RefusalError: it was never loaded, or several versions are: one alone would come back.
        """
        if name not in self._sources:
            raise self.directory.unknown(name, None)
        versions = self.versions(name)
        if len(versions) > 1:
            raise RefusalError(
                409,
                f"model {name!r} has versions {', '.join(versions)}; say by its path which one "
                'to load again, and "keep" the others',
                reason="versions",
            )
        return await self.load(self._sources[name], name=name)

    async def unload(self, name: str, version: str | None = None) -> None:
        """Serve nothing under this name, or this version of it no more; nor wait for it, where its
        load failed.

        Raises:
            RefusalError: nothing is, or requests go to that version.
        """
        async with self._turn(name):
            if name not in self.directory:
                if version is None and self._faults.pop(name, None) is not None:
                    return
                raise self.directory.unknown(name, None)
            if version is not None:
                self._retire(self.directory.remove_version(name, version))
                return
            self._trials.dismiss(name)
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
            if name in self._trials:
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
        self._trials.close()
        self._loader.close()

    async def try_out(self, name: str, order: TryOrder) -> None:
        """Run a bundle beside the model of this name, mirrored or asked first. The same bundle in
        another mode goes on in the same child. One that nothing can be compared with leads alone.

        Raises:
            EdgewrightError: it cannot be opened, or failed its trial; nothing has changed.
            RefusalError: it cannot be mirrored: no such model, several versions, or other tensors.
        """
        async with self._turn(name):
            await self._trials.try_out(name, order)

    async def dismiss(self, name: str) -> None:
        """Let the candidate of this name go; the model answers alone, at once."""
        async with self._turn(name):
            self._trials.dismiss(name)

    def candidate(self, name: str) -> CandidateFigures:
        """What the candidate of this name did so far.

        Raises:
            RefusalError: there is none.
        """
        return self._trials.figures(name)

    def _put(self, name: str, model: ServedModel) -> None:
        """Let this one answer for the name, and close none."""
        self.directory.put(name, model)
        self.swaps += 1

    def _turn(self, name: str) -> asyncio.Lock:
        """Whoever changes what answers for this name; other names go on."""
        return self._turns.setdefault(name, asyncio.Lock())

    def _switch(self, model: ServedModel, *, keep: bool) -> None:
        replaced = self.directory.add(model, keep=keep)
        self.swaps += bool(replaced)
        for old in replaced:
            self._retire(old)

    def _check_newcomer(self, model: ServedModel) -> None:
        try:
            self.directory.check_newcomer(model)
        except RefusalError:
            self._retire(model)
            raise

    def _let_go(self, shadow: Shadow) -> None:
        """End a shadow's thread before anything closes its model."""
        shadow.comparing.stop()
        self._later(shadow.model.name, shadow.comparing.join)

    def _retire(self, model: ServedModel) -> None:
        """Close a model when its last request is answered."""
        model.retire(partial(self._close_later, model.servable))

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
