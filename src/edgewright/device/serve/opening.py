"""A model from its path to its first request: opened, given what belongs to its name, tried.

It is opened in the loader's thread, beside the models that answer meanwhile. Short passes of its
trial run in the event loop, between requests: a thread would have to take the interpreter's lock
from the one that answers for each of them, and on a busy machine, where a thread that holds the
lock may wait for a core, each time could be a stall of a few milliseconds.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Mapping
from functools import partial
from pathlib import Path

import msgspec

from edgewright.device.serve.passes import Resources
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.ports import OpenModel, Servable
from edgewright.device.serve.serving import Admission, ServedModel
from edgewright.device.serve.trial import Trial
from edgewright.errors import EdgewrightError, InputError

Equip = Callable[[Servable], Servable]
"""Gives a model what belongs to the name that it is served by. Raises the errors of `errors.py`."""

STRETCH_S = 200e-6
"""So long may a trial hold the event loop up at a time."""
_PAUSE_S = 1e-3

logger = logging.getLogger(__name__)


class Opening:
    """How models of one server are opened."""

    def __init__(
        self,
        open_model: OpenModel,
        *,
        admission: Admission,
        limits: Mapping[str, Admission],
        resources: Resources,
        memory_limited: Container[str] = (),
        equip: Equip | None = None,
    ) -> None:
        self._open_model = open_model
        self._admission = admission
        self._limits = limits
        self._resources = resources
        self._loader = resources.loader
        self._memory_limited = memory_limited
        self._equip = equip

    async def open(self, path: Path, name: str | None, *, rests: bool) -> ServedModel:
        """A model that passed its trial, under another name where one is given; with many pauses
        where others answer meanwhile (`rests`).

        Raises:
            EdgewrightError: it cannot be opened, or failed its trial.
        """
        servable = await self._loader(partial(self._opened, path, name))
        try:
            plan = await self._tried(servable, rests=rests)
            model = self.served(servable, plan)
        except EdgewrightError:
            servable.model.close()
            raise
        logger.info("model ready: name=%s version=%s", servable.name, servable.version)
        return model

    def _opened(self, path: Path, name: str | None) -> Servable:
        servable = self._open_model(path)
        try:
            if name is not None:
                self._check_renamed(servable.name, name)
                servable = msgspec.structs.replace(servable, name=name)
            return self.equipped(servable)
        except EdgewrightError:
            servable.model.close()
            raise

    def equipped(self, servable: Servable) -> Servable:
        """The model with what belongs to its name; it may read files."""
        return servable if self._equip is None else self._equip(servable)

    def served(self, servable: Servable, plan: Plan) -> ServedModel:
        """A model that is run by this plan, with the limits of its name."""
        admission = self._limits.get(servable.name, self._admission)
        if servable.isolation is not None:
            # Its process takes one pass at a time.
            admission = msgspec.structs.replace(admission, concurrency=1)
        return ServedModel(servable, plan, admission=admission, resources=self._resources)

    async def _tried(self, servable: Servable, *, rests: bool) -> Plan:
        """How to run a model that passed its trial."""
        trial = Trial(servable, self._resources.timer)
        is_apart = servable.is_apart or servable.isolation is not None
        if is_apart or not rests:
            plan = await self._loader(trial.run)
        else:
            plan = await self._tried_between_requests(trial)
        if servable.isolation is not None:
            servable.isolation.settle(plan.expected_s(plan.max_rows))
        if is_apart:
            # The event loop never waits for another process.
            plan = msgspec.structs.replace(plan, is_inline=False, may_run_alone=False)
        return plan

    async def _tried_between_requests(self, trial: Trial) -> Plan:
        """Short passes here, a few at a time; long ones, and those of which nothing is known, in
        the loader's thread.
        """
        while trial.plan is None:
            if trial.next_s > STRETCH_S:
                await self._loader(trial.step)
                continue
            await asyncio.sleep(_PAUSE_S)
            trial.stretch(STRETCH_S)
        return trial.plan

    def _check_renamed(self, own: str, name: str) -> None:
        """A limit of memory is found by a model's own name, before anybody gave it another."""
        for limited in (own, name) if own != name else ():
            if limited in self._memory_limited:
                raise InputError(
                    f"model {own!r} cannot be loaded as {name!r}: memory_mb limits {limited!r}",
                    hint=f"load it as {own!r}, or build it with the name {name!r}",
                )
