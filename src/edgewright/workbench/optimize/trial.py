"""One variant under test: its file, its session, and what was measured of it so far."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from edgewright.errors import DeviceError, InputError
from edgewright.evidence.interval import Interval
from edgewright.runtimes.base import Array, EngineTensor, Session, core_clock
from edgewright.workbench.optimize.bound import Drop
from edgewright.workbench.optimize.labelled import Labelled
from edgewright.workbench.optimize.report import Candidate, Verdict
from edgewright.workbench.optimize.variants import VariantRecipe
from edgewright.workbench.verify import TaskMetric, edge_inputs, run_rows
from edgewright.workbench.verify.metric import Scores


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """How answers become scores: the metric, and the output it reads."""

    metric: TaskMetric
    output: str

    def scores(self, session: Session, data: Labelled) -> Scores:
        """One row per sample.

        Raises:
            DeviceError: the engine failed, or answered NaN or infinity.
        """
        answers = self.answers(session, data)
        if answers.dtype.kind == "f" and not np.isfinite(answers).all():
            finite = np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
            row = int(np.argmin(finite))
            raise DeviceError(
                f"output {self.output!r} holds NaN or infinity (first in row {row} of "
                f"{len(answers)})"
            )
        return self.metric.sample_scores(answers, data.labels)

    def answers(self, session: Session, data: Labelled) -> Array:
        """What the judged output holds, one row per sample."""
        return run_rows(session, data.inputs)[self.output]


BATCH_ROWS = 64
BATCH_APART = 1e-3
"""How far a row's answer may move with its neighbours; rounding stays far below."""


class Trial:
    """A variant and its measurements; once it has a verdict it keeps it."""

    def __init__(self, recipe: VariantRecipe, path: Path, session: Session, size: int) -> None:
        self.recipe = recipe
        self.path = path
        self.session = session
        self.placement = session.placement.text
        self.size_bytes = size
        self.memory_bytes: int | None = None
        self.packed_bytes: int | None = None
        self.huffman_bytes: int | None = None
        self.ratio: Interval | None = None
        self.latency_ms: float | None = None
        self.rounds = 0
        self.energy_ratio: Interval | None = None
        self.drop: Drop | None = None
        self.split = ""
        self.rows = 0
        self.verdict: Verdict | None = None
        self.reason = ""
        self._is_closed = False

    @property
    def name(self) -> str:
        return f"{self.recipe.format} {self.recipe.name}"

    @property
    def is_open(self) -> bool:
        """Whether it may still be chosen."""
        return self.verdict is None

    def settle(self, verdict: Verdict, reason: str) -> None:
        """The last word on this variant; lets go of its engine."""
        if self.verdict is None:
            self.verdict, self.reason = verdict, reason
            self.close()

    def close(self) -> None:
        """Let go of the engine, once."""
        if not self._is_closed:
            self._is_closed = True
            self.session.close()

    def candidate(self) -> Candidate:
        """The row of the report."""
        ratio, drop, energy = self.ratio, self.drop, self.energy_ratio
        return Candidate(
            format=self.recipe.format,
            recipe=self.recipe.name,
            size_bytes=self.size_bytes,
            metric=drop.metric if drop else None,
            metric_drop=drop.value if drop else None,
            metric_drop_upper=drop.upper if drop else None,
            latency_ratio=ratio.value if ratio else None,
            latency_ratio_low=ratio.low if ratio else None,
            latency_ratio_high=ratio.high if ratio else None,
            latency_ms=self.latency_ms,
            latency_rounds=self.rounds,
            energy_ratio=energy.value if energy else None,
            energy_ratio_low=energy.low if energy else None,
            energy_ratio_high=energy.high if energy else None,
            memory_bytes=self.memory_bytes,
            packed_bytes=self.packed_bytes,
            huffman_bytes=self.huffman_bytes,
            placement=self.placement,
            verdict=self.verdict or "rejected",
            reason=self.reason,
            split="confirm" if self.split == "confirm" else "select" if self.split else "",
            rows=self.rows,
        )


class AsModel:
    """A session whose tensors are called, and typed, like the model's: some formats keep no names
    and some no integer widths. Order is what they keep.
    """

    def __init__(
        self, session: Session, inputs: tuple[EngineTensor, ...], outputs: tuple[EngineTensor, ...]
    ) -> None:
        if (len(session.inputs), len(session.outputs)) != (len(inputs), len(outputs)):
            raise InputError(
                f"the file has {len(session.inputs)} inputs and {len(session.outputs)} outputs, "
                f"the model {len(inputs)} and {len(outputs)}"
            )
        self._session = session
        self._names = {
            theirs.name: ours.name for theirs, ours in zip(session.inputs, inputs, strict=True)
        }
        self._answers = [ours.name for ours in outputs]
        self.placement = session.placement
        self.inputs = tuple(
            EngineTensor(name=ours.name, dtype=ours.dtype, shape=theirs.shape)
            for theirs, ours in zip(session.inputs, inputs, strict=True)
        )
        self.outputs = tuple(
            EngineTensor(name=ours.name, dtype=theirs.dtype, shape=theirs.shape)
            for theirs, ours in zip(session.outputs, outputs, strict=True)
        )

    @property
    def inner(self) -> Session:
        """The session itself."""
        return self._session

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        given = {
            tensor.name: feeds[self._names[tensor.name]].astype(tensor.dtype, copy=False)
            for tensor in self._session.inputs
        }
        answers = self._session.run(given)
        return {
            ours: answers[theirs.name]
            for ours, theirs in zip(self._answers, self._session.outputs, strict=True)
        }

    def close(self) -> None:
        """Let go of the engine."""
        self._session.close()


def like_the_model(
    session: Session, inputs: tuple[EngineTensor, ...], outputs: tuple[EngineTensor, ...]
) -> Session:
    """The session itself where its tensors are called like the model's already, so that no wrapper
    is timed.

    Raises:
        InputError: it has more or fewer tensors.
    """
    same = [(t.name, t.dtype) for t in session.inputs] == [(t.name, t.dtype) for t in inputs]
    if same and [t.name for t in session.outputs] == [t.name for t in outputs]:
        return session
    return AsModel(session, inputs, outputs)


def first_rows(data: Labelled, count: int) -> Labelled:
    """The first rows of shuffled data."""
    return data if data.rows <= count else data.take(np.arange(count))


def edge_fault(session: Session, inputs: dict[str, Array], seed: int) -> str:
    """What is wrong with the answers to edge inputs; empty when they are finite."""
    for name, arrays in edge_inputs(inputs, np.random.default_rng(seed)).items():
        try:
            answers = run_rows(session, arrays)
        except (DeviceError, InputError) as error:
            return f"no answer to the edge input {name!r}: {error}"
        for output, array in answers.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"output {output!r} is NaN or infinite for the edge input {name!r}"
    return ""


def batch_fault(session: Session, inputs: dict[str, Array]) -> str:
    """What is wrong with rows that are asked together; empty when each is answered as if alone.

    Ranges that are measured at every call (dynamic quantisation) span all rows of the call: one
    client's answer would depend on whom else a server asks with it.
    """
    if any(tensor.shape and tensor.shape[0] for tensor in session.inputs):
        return ""
    few = {name: array[:BATCH_ROWS] for name, array in inputs.items()}
    together = run_rows(session, few)
    rows = len(next(iter(few.values())))
    for row in range(rows):
        alone = run_rows(session, {name: array[row : row + 1] for name, array in few.items()})
        for output, array in together.items():
            if array.dtype.kind != "f":
                continue
            scale = float(np.abs(array).max()) or 1.0
            apart = float(np.abs(array[row] - alone[output][0]).max()) / scale
            if not apart <= BATCH_APART:
                return (
                    f"output {output!r} of a row moves by {100 * apart:.1f} % of its scale with "
                    "what else is asked in the same call"
                )
    return ""


def caller(session: Session, inputs: dict[str, Array]) -> Callable[[], object]:
    """A single-sample call, the way a device makes it."""
    rows = rows_of_a_call(session)
    feeds = {name: np.ascontiguousarray(array[:rows]) for name, array in inputs.items()}
    return lambda: session.run(feeds)


def engine_feeds(session: Session, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of one call under the names that the file's own engine has for them."""
    rows = rows_of_a_call(session)
    own = session.inner if isinstance(session, AsModel) else session
    return {
        theirs.name: np.ascontiguousarray(inputs[ours.name][:rows])
        for theirs, ours in zip(own.inputs, session.inputs, strict=True)
    }


def rows_of_a_call(session: Session) -> int:
    """One, or as many as the file was made for."""
    return next((t.shape[0] for t in session.inputs if t.shape and t.shape[0]), 1)


def clock_of(session: Session, own: Callable[[], float] = time.thread_time) -> Callable[[], float]:
    """Its `core_clock`, whatever its tensors are called here."""
    return core_clock(session.inner if isinstance(session, AsModel) else session, own)
