"""What is measured of trials: accuracy on a split, latency and energy beside fp32, memory, and
what a transfer carries. Every number is written into the trial; what is done with it is not decided
here.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from zstandard import ZstdCompressor

from edgewright.errors import DeviceError, InputError
from edgewright.workbench.optimize.bound import Drop, drop_of
from edgewright.workbench.optimize.entropy import huffman_bytes
from edgewright.workbench.optimize.evaluation import SearchData
from edgewright.workbench.optimize.labelled import Labelled, bootstrap_groups
from edgewright.workbench.optimize.options import OptimizeOptions
from edgewright.workbench.optimize.timing import meter_trials, time_trials
from edgewright.workbench.optimize.trial import Trial, first_rows
from edgewright.workbench.optimize.variants import engine_of
from edgewright.workbench.optimize.workspace import Workspace
from edgewright.workbench.verify.metric import Scores


class Rung(msgspec.Struct, frozen=True):
    """How much one round of halving spends, and how many it keeps."""

    rounds: int
    seconds: float
    keep: int


_ON_A_CORE = "latency: time on a core (CPU time of the calling thread); waiting for one is on top"


class Scales:
    """Measures trials against one baseline. `notes` say how, where it is not obvious.

    Where `is_in_thread`, all engines compute in the calling thread, and the time that it has a core
    is measured: on a busy machine the wait for a core would drown what differs between variants.
    """

    def __init__(
        self,
        baseline: Trial,
        data: SearchData,
        options: OptimizeOptions,
        *,
        workspace: Workspace,
        weigh: Callable[[str, Path], int] | None,
        is_in_thread: bool,
    ) -> None:
        self.data = data
        self.baseline = baseline
        self.notes: list[str] = [_ON_A_CORE] if is_in_thread else []
        self._clock = time.thread_time if is_in_thread else time.perf_counter
        self._options = options
        self._workspace = workspace
        self._weigh = weigh
        self._rng = np.random.default_rng(options.seed)
        self._reference = {
            "select": self._own_scores(data.select),
            "confirm": self._own_scores(data.confirm),
        }
        baseline.drop = Drop(data.judge.metric.value(self._reference["confirm"]), 0.0, 0.0)
        baseline.split, baseline.rows = "confirm", data.confirm.rows

    def score(self, trials: Sequence[Trial], split: str, rows: int | None = None) -> None:
        """Each trial's drop on a split, or on its first rows; an answer that is not finite is
        out.
        """
        data = self.data.confirm if split == "confirm" else self.data.select
        part = data if rows is None else first_rows(data, rows)
        for trial in trials:
            label = split if part is data else f"screen{part.rows}"
            try:
                scores = self._scores(trial, label, part)
            except DeviceError as error:
                trial.settle("rejected", error.message)
                continue
            self._take_drop(trial, split, scores, part)

    def time(self, trials: Sequence[Trial], rung: Rung) -> None:
        """Each trial's p50 over fp32's, in the same rounds; energy where that is the objective."""
        inputs = self.data.select.inputs
        time_trials(
            trials,
            self.baseline,
            inputs,
            rounds=rung.rounds,
            seconds=rung.seconds,
            rng=self._rng,
            clock=self._clock,
        )
        if self._options.objective == "energy" and trials:
            how = meter_trials(trials, self.baseline, inputs, self._rng)
            self.notes += [] if how in self.notes else [how]

    def weigh(self, trials: Sequence[Trial]) -> None:
        """Memory in a process of its own, and what a transfer would carry."""
        for trial in trials:
            content = trial.path.read_bytes()
            trial.packed_bytes = len(ZstdCompressor(level=19).compress(content))
            trial.huffman_bytes = huffman_bytes(content)
            if self._weigh is not None:
                trial.memory_bytes = self._weigh(engine_of(trial.recipe), trial.path)

    def _own_scores(self, data: Labelled) -> Scores:
        try:
            return self.data.judge.scores(self.baseline.session, data)
        except DeviceError as error:
            raise InputError(
                f"the model itself cannot be measured on the evaluation data: {error}",
                hint="mend the model first; there is nothing to compare variants with",
            ) from error

    def _scores(self, trial: Trial, label: str, data: Labelled) -> Scores:
        kept = self._workspace.scores(trial.recipe, label)
        if kept is None:
            kept = self.data.judge.scores(trial.session, data)
            self._workspace.keep_scores(trial.recipe, label, kept)
        return kept

    def _take_drop(self, trial: Trial, split: str, scores: Scores, data: Labelled) -> None:
        trial.drop = drop_of(
            self.data.judge.metric,
            self._reference[split][: data.rows],
            scores,
            groups=bootstrap_groups(data),
            rng=np.random.default_rng(self._options.seed),
        )
        trial.split, trial.rows = split, data.rows
