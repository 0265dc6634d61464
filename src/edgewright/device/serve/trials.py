"""Candidates beside the models that they would replace, by name: started, mirrored or put first,
dismissed. Whoever calls sees to it that only one thing happens to a name at a time.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from edgewright.device.serve.candidate import Candidate, OpenCandidate
from edgewright.device.serve.child_model import PATIENCE_RUNS
from edgewright.device.serve.directory import Directory
from edgewright.device.serve.opening import Opening
from edgewright.device.serve.passes import Resources
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.trial import try_model
from edgewright.wire.admin import TryOrder
from edgewright.wire.candidate import CandidateFigures

CANDIDATES_AT_ONCE = 8
"""How many children may be starting; one that hangs must not keep another name waiting."""

logger = logging.getLogger(__name__)


class Trials:
    """The candidates of one server. `put` lets a model answer for a name, `later` works for a name
    in the loader's thread.
    """

    def __init__(
        self,
        open_candidate: OpenCandidate | None,
        *,
        opening: Opening,
        resources: Resources,
        directory: Directory,
        put: Callable[[str, ServedModel], None],
        later: Callable[[str, Callable[[], None]], None],
    ) -> None:
        self._open_candidate = open_candidate
        self._opening = opening
        self._resources = resources
        self._directory = directory
        self._put = put
        self._later = later
        self._candidates: dict[str, tuple[Candidate, ServedModel | None]] = {}
        self._spawner = ThreadPoolExecutor(
            CANDIDATES_AT_ONCE, thread_name_prefix="serve-candidates"
        )

    def __contains__(self, name: str) -> bool:
        return name in self._candidates

    async def try_out(self, name: str, order: TryOrder) -> None:
        """Run a bundle beside the model of this name; see `Models.try_out`."""
        self._check_alone(name)
        candidate, leader = self._candidates.get(name, (None, None))
        if candidate is None or candidate.path != Path(order.path):
            self.dismiss(name)
            candidate, leader = await self._opened(name, order), None
            self._candidates[name] = candidate, None
            if candidate.stand_in is not None:
                candidate.stand_in.queue.mirror = candidate.mirror
        if order.mode == "lead" and leader is None:
            self._lead(name, candidate)

    def dismiss(self, name: str) -> None:
        """Let the candidate of this name go, if there is one; the model answers alone, at once."""
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
            self._directory.remove(name)
        leader.retire(partial(self._ended, name, candidate))

    def figures(self, name: str) -> CandidateFigures:
        """What the candidate of this name did so far.

        Raises:
            RefusalError: there is none.
        """
        candidate, leader = self._candidates.get(name, (None, None))
        if candidate is None:
            raise RefusalError(404, f"model {name!r} has no candidate", reason="no_candidate")
        return candidate.figures(leader.queue.tally.answered if leader else 0)

    def close(self) -> None:
        """Start no more."""
        self._spawner.shutdown()

    def _check_alone(self, name: str) -> None:
        """A candidate is compared with one model."""
        if self._directory.is_shared(name):
            raise RefusalError(
                409, f"model {name!r} has versions that share its requests", reason="split"
            )
        versions = self._directory.versions(name)
        if len(versions) > 1:
            raise RefusalError(
                409,
                f"model {name!r} has versions {', '.join(versions)}, a candidate is compared "
                "with one alone; unload the others first",
                reason="versions",
            )

    def _lead(self, name: str, candidate: Candidate) -> None:
        if candidate.stand_in is not None:
            candidate.stand_in.queue.mirror = None
        candidate.lead()
        single_s = candidate.model.child.patience_s / PATIENCE_RUNS
        plan = Plan(is_inline=False, max_rows=1, single_s=single_s, row_s=single_s)
        leader = self._opening.served(candidate.servable, plan)
        leader.queue.fallback = partial(candidate.fall_back, leader.queue)
        if candidate.stand_in is not None:
            candidate.stand_in.queue.hold()  # it answers what the leader does not, to the last one
        self._candidates[name] = candidate, leader
        self._put(name, leader)
        at_s = self._resources.timer()
        logger.info("candidate leads: name=%s version=%s at=%g", name, leader.version, at_s)

    def _ended(self, name: str, candidate: Candidate) -> None:
        """The leader has answered its last request, or handed it over."""
        if candidate.stand_in is not None:
            candidate.stand_in.queue.release()
        self._later(name, candidate.close)

    async def _opened(self, name: str, order: TryOrder) -> Candidate:
        if self._open_candidate is None:
            raise RefusalError(501, "this server runs no candidates", reason="no_candidates")
        loop, path, timer = asyncio.get_running_loop(), Path(order.path), self._resources.timer
        original = self._directory.current.get(name)
        if original is None and order.mode != "lead":
            raise self._directory.unknown(name, None)
        start = partial(self._open_candidate, path, order.memory_mb)
        servable = await loop.run_in_executor(self._spawner, start)
        try:
            named = msgspec.structs.replace(servable, name=name)
            equip = partial(self._opening.equipped, named)
            servable = await loop.run_in_executor(self._spawner, equip)
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
