"""What is measured of trials: accuracy on a split, latency and energy beside fp32, memory, and
what a transfer carries. Every number is written into the trial; what is done with it is not decided
here.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import msgspec
import numpy as np

from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Session
from edgewright.workbench.optimize.bound import Drop, drop_of
from edgewright.workbench.optimize.entropy import huffman_bytes, packed_bytes
from edgewright.workbench.optimize.evaluation import SearchData
from edgewright.workbench.optimize.labelled import Labelled, bootstrap_groups
from edgewright.workbench.optimize.options import OptimizeOptions
from edgewright.workbench.optimize.place import Measured, Place, Subject, together
from edgewright.workbench.optimize.trial import Trial, first_rows
from edgewright.workbench.optimize.variants import engine_of
from edgewright.workbench.optimize.workspace import Workspace
from edgewright.workbench.verify.metric import Scores


class Rung(msgspec.Struct, frozen=True):
    """How much one round of halving spends, and how many it keeps. Rounds are divided among
    `sittings`: where its memory happens to lie makes a session some percent quicker or slower for
    as long as it lives, and each sitting has sessions of its own.
    """

    rounds: int
    seconds: float
    keep: int
    sittings: int = 1


class Scales:
    """Measures trials against one baseline: accuracy here, the rest at a place."""

    def __init__(
        self,
        baseline: Trial,
        data: SearchData,
        options: OptimizeOptions,
        *,
        workspace: Workspace,
        place: Place,
        open_again: Callable[[Trial], Session],
    ) -> None:
        self.data = data
        self.baseline = baseline
        self._options = options
        self._workspace = workspace
        self._place = place
        self._open_again = open_again
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
        everyone = [self.baseline, *(trial for trial in trials if trial is not self.baseline)]
        sittings = [self._sitting(everyone, rung, number) for number in range(rung.sittings)]
        rng = np.random.default_rng(self._options.seed)
        for trial, found in zip(everyone, zip(*sittings, strict=True), strict=True):
            measured = together(found, rng=rng)
            if self._was_measured(trial, measured):
                trial.ratio, trial.latency_ms = measured.ratio, measured.latency_ms
                trial.rounds, trial.energy_ratio = measured.rounds, measured.energy_ratio

    def _sitting(self, trials: Sequence[Trial], rung: Rung, number: int) -> list[Measured]:
        """Some of a rung's rounds; from the second on in sessions that are opened for it."""
        with ExitStack() as opened:
            subjects = [_subject(trial) for trial in trials]
            if number:
                for at, trial in enumerate(trials):
                    session = opened.enter_context(closing(self._open_again(trial)))
                    subjects[at] = msgspec.structs.replace(subjects[at], session=session)
            return self._place.time(
                subjects,
                self.data.select.inputs,
                rounds=max(rung.rounds // rung.sittings, 2),
                seconds=rung.seconds / rung.sittings,
                with_energy=self._options.objective == "energy" and number == 0,
            )

    def pack(self, trials: Sequence[Trial]) -> None:
        """What a transfer would carry of those that were not rejected."""
        for trial in trials:
            if trial.verdict != "rejected":
                content = trial.path.read_bytes()
                trial.packed_bytes = packed_bytes(content)
                trial.huffman_bytes = huffman_bytes(content)

    def weigh(self, trials: Sequence[Trial]) -> None:
        """Memory in a process of its own."""
        found = self._place.weigh([_subject(trial) for trial in trials], self.data.one_row())
        for trial, measured in zip(trials, found, strict=True):
            if self._was_measured(trial, measured):
                trial.memory_bytes = measured.memory_bytes

    def _was_measured(self, trial: Trial, measured: Measured) -> bool:
        """A variant that the place could not measure is out; it is never measured elsewhere.

        Raises:
            DeviceError: nothing can be compared to a baseline that was never measured.
        """
        if not measured.reason:
            return True
        if trial is not self.baseline:
            trial.settle("rejected", f"not measured there: {measured.reason}")
        elif trial.ratio is None:
            raise DeviceError(
                f"fp32 cannot be measured there: {measured.reason}",
                hint="mend that first; there is nothing to compare variants with",
            )
        return False

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


def _subject(trial: Trial) -> Subject:
    return Subject(engine=engine_of(trial.recipe), path=trial.path, session=trial.session)
