"""A model from its path to its first request: opened, given what belongs to its name, tried. All of
it in the loader's thread, beside the models that answer meanwhile.
"""

import logging
from collections.abc import Callable, Container, Mapping
from functools import partial
from pathlib import Path

import msgspec

from edgewright.device.serve.passes import Resources
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.ports import OpenModel, Servable
from edgewright.device.serve.serving import Admission, ServedModel
from edgewright.device.serve.trial import no_rest, try_model
from edgewright.errors import EdgewrightError, InputError

Equip = Callable[[Servable], Servable]
"""Gives a model what belongs to the name that it is served by. Raises the errors of `errors.py`."""

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
        """A model that passed its trial, under another name where one is given. The loader `rests`
        between its steps where others answer.

        Raises:
            EdgewrightError: it cannot be opened, or failed its trial.
        """
        servable = await self._loader(lambda: self._open_model(path))
        try:
            if name is not None:
                self._check_renamed(servable.name, name)
                servable = msgspec.structs.replace(servable, name=name)
            servable = await self._loader(partial(self.equipped, servable))
            model = await self._loader(partial(self._tried, servable, rests=rests))
        except EdgewrightError:
            servable.model.close()
            raise
        logger.info("model ready: name=%s version=%s", servable.name, servable.version)
        return model

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

    def _tried(self, servable: Servable, *, rests: bool) -> ServedModel:
        """A model that passed its trial; all of it in the loader's thread, in short steps."""
        rest = self._loader.rest if rests else no_rest
        plan = try_model(servable, self._resources.timer, rest)
        rest()
        if servable.isolation is not None:
            servable.isolation.settle(plan.expected_s(plan.max_rows))
        if servable.is_apart or servable.isolation is not None:
            # The event loop never waits for another process.
            plan = msgspec.structs.replace(plan, is_inline=False, may_run_alone=False)
        return self.served(servable, plan)

    def _check_renamed(self, own: str, name: str) -> None:
        """A limit of memory is found by a model's own name, before anybody gave it another."""
        for limited in (own, name) if own != name else ():
            if limited in self._memory_limited:
                raise InputError(
                    f"model {own!r} cannot be loaded as {name!r}: memory_mb limits {limited!r}",
                    hint=f"load it as {own!r}, or build it with the name {name!r}",
                )
