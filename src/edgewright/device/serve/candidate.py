"""A candidate beside the model that it would replace: mirrored first, then asked first.

In shadow the old model answers and a copy of its requests goes to the candidate's child process, as
many as that keeps up with. Leading, the candidate answers, and whatever it does not answer rightly
is answered by the old model, so that no client sees it. Both are counted for the agent that judges.
Where no old model can answer for it (the first of a name, other tensors) it leads alone: its
faults are told to its own clients, and no other model shares its process.
"""

import statistics
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from edgewright.device.serve.child_model import REFUSED, CandidateError, ChildModel
from edgewright.device.serve.passes import Job, PassQueue
from edgewright.device.serve.ports import Array, Arrays, Servable, Timer
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.shadow import KEPT_TIMES, Comparing, is_compatible
from edgewright.wire.candidate import CandidateFigures

Mode = Literal["shadow", "lead"]

OpenCandidate = Callable[[Path, float], Servable]
"""Opens an unpacked bundle as a child, with a limit of megabytes (0 is none)."""


class LeadModel:
    """The candidate as a model that is served; its times are kept."""

    def __init__(self, child: ChildModel, timer: Timer) -> None:
        self.child = child
        self.contract = child.contract
        self.run_s: deque[float] = deque(maxlen=KEPT_TIMES)
        self.overhead_s: deque[float] = deque(maxlen=KEPT_TIMES)
        self._timer = timer

    def predict_checked(self, arrays: Arrays) -> dict[str, Array]:
        """The child's answer, timed."""
        started_s = self._timer()
        outputs = self.child.predict_checked(arrays)
        run_s = self.child.run_s
        self.run_s.append(run_s)
        self.overhead_s.append(max(0.0, self._timer() - started_s - run_s))
        return outputs

    def close(self) -> None:
        """End the child."""
        self.child.close()


class Candidate:
    """One candidate of one name. Its counts are changed in the event loop or in its own thread.

    `original` is the model that was served before it, if any; `stand_in` the same, where it can
    answer for the candidate.
    """

    def __init__(
        self, path: Path, servable: Servable, original: ServedModel | None, timer: Timer
    ) -> None:
        assert isinstance(servable.model, ChildModel)  # noqa: S101 - who opens it says so
        self.path = path
        self.original = original
        self.stand_in = original if original and _may_replace(original, servable) else None
        self.mode: Mode = "shadow"
        self.model = LeadModel(servable.model, timer)
        self.servable = msgspec.structs.replace(servable, model=self.model)
        self._failures = Counter[str]()
        self._problem = ""
        self._failed = 0
        self.comparing = Comparing(
            self.model.contract, self.model.predict_checked, note=lambda error: self._note(error, 1)
        )

    def mirror(self, inputs: Arrays, outputs: Arrays, run_s: float) -> None:
        """The old model answered this; compare when there is time, else let it pass."""
        if not self.model.child.broken:
            self.comparing.mirror(inputs, outputs, run_s)

    def lead(self) -> None:
        """From now on it is asked first."""
        self.mode = "lead"
        self.comparing.stop()

    def fall_back(self, queue: PassQueue, jobs: list[Job], error: Exception) -> None:
        """It gave no answer to these of its queue: the old model does, or nobody."""
        self._note(error, len(jobs))
        for job in jobs:
            if self.stand_in is not None:
                self.stand_in.queue.add(job)
            else:
                queue.fail(job, _refusal(error))

    def figures(self, answered: int = 0) -> CandidateFigures:
        """What was counted; `answered` are requests that clients got its own answer to."""
        return CandidateFigures(
            version=self.servable.version,
            mode=self.mode,
            asked=self.comparing.passes + self._failed + answered,
            answered=answered,
            failures=dict(self._failures),
            problem=self._problem,
            broken=self.model.child.broken,
            compared=self.comparing.passes,
            agreed=self.comparing.agreed_passes,
            run_ms=_quantiles_ms(self.model.run_s),
            old_run_ms=_quantiles_ms(self.comparing.old_run_s),
            overhead_ms=_quantiles_ms(self.model.overhead_s),
        )

    def close(self) -> None:
        """Compare no more and end the child; blocks until it has ended."""
        self.comparing.stop()
        self.model.close()

    def _note(self, error: Exception, count: int) -> None:
        kind = error.kind if isinstance(error, CandidateError) else "internal"
        if kind == REFUSED:
            return
        self._failures[kind] += count
        self._failed += count
        self._problem = self._problem or str(error)


def _may_replace(original: ServedModel, servable: Servable) -> bool:
    return is_compatible(original.contract, servable.model.contract)


def _refusal(error: Exception) -> RefusalError:
    """What a client is told when nobody can answer for the candidate."""
    if isinstance(error, CandidateError) and error.kind == REFUSED:
        return RefusalError(400, str(error), reason="input")
    return RefusalError(500, "the model failed", reason="internal")


def _quantiles_ms(times_s: "deque[float]") -> tuple[float, float]:
    ordered = sorted(times_s.copy())
    if not ordered:
        return 0.0, 0.0
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return round(1e3 * statistics.median(ordered), 4), round(1e3 * p95, 4)
