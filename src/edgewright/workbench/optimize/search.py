"""The search: make, screen, halve, rescue, confirm.

Variants that are slower than fp32 or clearly out of budget leave after a few rounds and a few
samples; the rest meet the whole select set and more rounds; the best few meet the confirm set one
after the other until one proves the budget. Latencies that are compared come from one interleaved
run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from zstandard import ZstdCompressor

from edgewright import _fs
from edgewright.errors import DeviceError, EdgewrightError, InputError, UnavailableError
from edgewright.runtimes.base import Session
from edgewright.workbench.optimize.bound import Drop, drop_of, least_upper
from edgewright.workbench.optimize.choose import (
    GAIN_FOR_RESCUE,
    by_objective,
    loses_to,
    not_faster,
    rejected_for_bound,
    rejected_for_drop,
    rejected_for_speed,
)
from edgewright.workbench.optimize.entropy import huffman_bytes
from edgewright.workbench.optimize.labelled import Labelled, bootstrap_groups
from edgewright.workbench.optimize.maker import Maker, OnnxMaker
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.report import Candidate
from edgewright.workbench.optimize.space import chained_recipes
from edgewright.workbench.optimize.timing import meter_trials, time_trials
from edgewright.workbench.optimize.trial import Judge, Trial, batch_fault, edge_fault, first_rows
from edgewright.workbench.optimize.variants import (
    BASELINES,
    CALIBRATORS,
    Chained,
    OpenVinoRecipe,
    StaticInt8,
    VariantRecipe,
    engine_of,
)
from edgewright.workbench.optimize.workspace import Workspace
from edgewright.workbench.verify import Accuracy
from edgewright.workbench.verify.metric import Scores

SEARCH_STEPS = 6
SCREEN_ROWS = 256
SENSITIVITY_ROWS = 64
MAX_CONFIRMED = 4
MAX_RESCUED_STRUCTURES = 2
FLOAT_SHARES = (0.1, 0.25, 0.5)
"""How many of the most sensitive nodes stay in float, tried in this order."""


class Rung(msgspec.Struct, frozen=True):
    """How much one round of halving spends, and how many it keeps."""

    rounds: int
    seconds: float
    keep: int


SCREEN = Rung(rounds=10, seconds=3.0, keep=8)
HALVE = Rung(rounds=40, seconds=4.0, keep=4)
FINAL = Rung(rounds=300, seconds=8.0, keep=4)


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """How a search makes, opens and weighs variants. `makers` are by format, the baseline's first;
    `chained` are those of compressed models, by chain; `open_file` takes an engine's name.
    """

    makers: dict[str, Maker]
    open_file: Callable[[str, Path], Session]
    more: tuple[VariantRecipe, ...] = ()
    chained: dict[str, dict[str, Maker]] = {}
    weigh: Callable[[str, Path], int] | None = None


class SearchData(msgspec.Struct, frozen=True, kw_only=True):
    """What variants are judged on."""

    select: Labelled
    confirm: Labelled
    judge: Judge


class Search:
    """One search over the variants of one model."""

    def __init__(
        self,
        engines: Engines,
        data: SearchData,
        options: OptimizeOptions,
        *,
        workspace: Workspace,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._engines = engines
        self._makers = engines.makers
        self._onnx = next((m for m in self._makers.values() if isinstance(m, OnnxMaker)), None)
        self.data = data
        self._options = options
        self._workspace = workspace
        self._on_progress = on_progress
        self._rng = np.random.default_rng(options.seed)
        self._failed: list[Candidate] = []
        self._by_content: dict[tuple[str, bytes], str] = {}
        self._reference: dict[str, Scores] = {}
        self.trials: list[Trial] = []
        self.notes: list[str] = []
        self.baseline = self._baseline()

    def run(self) -> Trial:
        """Search; every trial has its verdict afterwards. Returns the chosen one."""
        if self._options.exhaustive:
            self._add_all(
                [one for maker in self._makers.values() for one in maker.everything()]
                + self._more()
            )
            self._score(self._open(), "select")
            self._measure(self._open(), _for_all(FINAL, len(self._open())))
        else:
            self._add_all(
                [one for maker in self._makers.values() for one in maker.recipes()] + self._more()
            )
            self._screen()
            self._halve()
            self._rescue()
            self._finalists()
        return self._confirm()

    def candidates(self) -> list[Candidate]:
        """Every variant of the report, best verdicts first."""
        order = {"chosen": 0, "baseline": 1, "fits": 2, "rejected": 3, "failed": 4}
        rows = [trial.candidate() for trial in (self.baseline, *self.trials)]
        rows += self._failed
        return sorted(rows, key=lambda row: (order[row.verdict], row.latency_ratio or 9.0))

    def close(self) -> None:
        """Let go of every engine that is still open."""
        for trial in (self.baseline, *self.trials):
            trial.close()

    def _more(self) -> list[VariantRecipe]:
        """Other providers, and compressed models."""
        chained = self._engines.chained.items()
        found = [one for chain, makers in chained for one in chained_recipes(chain, makers)]
        return [*self._engines.more, *found]

    def _maker(self, recipe: VariantRecipe) -> tuple[Maker, VariantRecipe]:
        """Who makes it, and by which of its own recipes."""
        if isinstance(recipe, Chained):
            return self._engines.chained[recipe.chain][recipe.format], recipe.then
        return self._makers[recipe.format], recipe

    def _open(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.is_open]

    def _say(self, stage: int, text: str) -> None:
        self._on_progress(Progress(stage, SEARCH_STEPS, text))

    # Making

    def _baseline(self) -> Trial:
        trial = self._made(BASELINES[next(iter(self._makers))])
        if trial is None:
            raise InputError("the model cannot be opened in fp32", hint=self._failed[-1].reason)
        for split, data in (("select", self.data.select), ("confirm", self.data.confirm)):
            try:
                self._reference[split] = self.data.judge.scores(trial.session, data)
            except DeviceError as error:
                raise InputError(
                    f"the model itself cannot be measured on the evaluation data: {error}",
                    hint="mend the model first; there is nothing to compare variants with",
                ) from error
        trial.drop = Drop(self.data.judge.metric.value(self._reference["confirm"]), 0.0, 0.0)
        trial.split, trial.rows = "confirm", self.data.confirm.rows
        return trial

    def _add_all(self, recipes: Sequence[VariantRecipe]) -> None:
        wanted = [recipe for recipe in recipes if recipe != self.baseline.recipe]
        for position, recipe in enumerate(wanted):
            name = f"{recipe.format} {recipe.name}"
            self._say(1, f"making {position + 1} of {len(wanted)}: {name}")
            self._add(recipe)

    def _add(self, recipe: VariantRecipe) -> Trial | None:
        trial = self._made(recipe)
        if trial is not None:
            self.trials.append(trial)
        return trial

    def _made(self, recipe: VariantRecipe) -> Trial | None:
        """The variant's file and session; None, and a row that says why, where there is none."""
        (maker, own), engine = self._maker(recipe), engine_of(recipe)
        path = self._workspace.path(recipe, maker.suffix)
        refusal = self._workspace.refusal(recipe)
        try:
            if refusal is not None:
                raise UnavailableError(refusal)
            if not path.exists():
                _fs.write_atomic(path, maker.make(own))
            content = path.read_bytes()
            twin = self._by_content.setdefault((engine, content), recipe.name)
            if twin != recipe.name:
                raise UnavailableError(f"the same file as {twin!r}")
            session = self._engines.open_file(engine, path)
        except UnavailableError as error:
            self._workspace.keep_refusal(recipe, error)
            self._fail(recipe, error)
            return None
        except (InputError, DeviceError) as error:
            self._fail(recipe, error)
            return None
        return Trial(recipe, path, session, len(content))

    def _fail(self, recipe: VariantRecipe, error: EdgewrightError) -> None:
        self._failed.append(
            Candidate(
                format=recipe.format,
                recipe=recipe.name,
                verdict="failed",
                reason=error.message,
            )
        )

    # Measuring

    def _score(self, trials: Sequence[Trial], split: str, rows: int | None = None) -> None:
        """Write each trial's drop on a split; out of budget, or not finite, is out."""
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

    def _measure(self, trials: Sequence[Trial], rung: Rung) -> None:
        inputs = self.data.select.inputs
        time_trials(
            trials,
            self.baseline,
            inputs,
            rounds=rung.rounds,
            seconds=rung.seconds,
            rng=self._rng,
        )
        if self._options.objective == "energy" and trials:
            how = meter_trials(trials, self.baseline, inputs, self._rng)
            self.notes += [] if how in self.notes else [how]

    # Stages

    def _screen(self) -> None:
        self._say(2, f"screening {len(self.trials)} variants")
        self._measure(self._open(), SCREEN)
        for trial in self._open():
            if trial.ratio and (reason := rejected_for_speed(trial.ratio)):
                trial.settle("rejected", reason)
        self._score(self._open(), "select", SCREEN_ROWS)

    def _halve(self) -> None:
        fitting = by_objective(self._fitting(), self._options.objective)
        self._say(3, f"comparing the best {min(len(fitting), SCREEN.keep)} of {len(fitting)}")
        kept = fitting[: SCREEN.keep]
        for trial in fitting[SCREEN.keep :]:
            self._lay_aside(trial, kept[-1])
        self._score(kept, "select")
        kept = [trial for trial in kept if trial.is_open and trial in self._fitting()]
        self._measure(kept, HALVE)

    def _rescue(self) -> None:
        """Structures that would win but lose too much accuracy get other calibrators, then floats
        in their most sensitive nodes.
        """
        fitting = by_objective(self._fitting(), self._options.objective)
        best = fitting[0].ratio.value if fitting and fitting[0].ratio else 1.0
        promising = [
            trial
            for trial in by_objective(self._open(), self._options.objective)
            if trial not in fitting
            and _can_be_rescued(trial.recipe)
            and trial.ratio
            and trial.ratio.value < best * GAIN_FOR_RESCUE
        ]
        for trial in promising[:MAX_RESCUED_STRUCTURES]:
            self._say(4, f"other calibrators and mixed precision for {trial.name}")
            if isinstance(trial.recipe, OpenVinoRecipe):
                self._try(OpenVinoRecipe(kind="int8 accuracy-control"))
            else:
                self._rescue_one(trial)

    def _rescue_one(self, trial: Trial) -> None:
        recipe = trial.recipe
        assert isinstance(recipe, StaticInt8)  # noqa: S101  # _rescue picked it so
        tried = [trial]
        for calibrator in CALIBRATORS[1:]:
            other = self._try(msgspec.structs.replace(recipe, calibrator=calibrator))
            tried += [other] if other else []
            if other and other in self._fitting():
                return
        best = min(
            (one for one in tried if one.drop), key=lambda one: one.drop.value if one.drop else 0
        )
        assert self._onnx  # noqa: S101  # it made the recipe
        order = self._by_sensitivity(self._onnx, recipe)
        for share in FLOAT_SHARES:
            floats = tuple(sorted(order[: max(1, round(share * len(order)))]))
            mixed = self._try(msgspec.structs.replace(_static(best), floats=floats))
            if mixed and mixed in self._fitting():
                return

    def _try(self, recipe: VariantRecipe) -> Trial | None:
        trial = self._add(recipe)
        if trial is None:
            return None
        self._measure([trial], SCREEN)
        if trial.ratio and (reason := rejected_for_speed(trial.ratio)):
            trial.settle("rejected", reason)
            return None
        self._score([trial], "select", SCREEN_ROWS)
        if trial in self._fitting():
            self._score([trial], "select")
        return trial

    def _by_sensitivity(self, maker: OnnxMaker, recipe: StaticInt8) -> list[str]:
        """Nodes, the one whose integers cost the most accuracy first."""
        data = first_rows(self.data.select, SENSITIVITY_ROWS)
        judge = self.data.judge
        wanted = judge.answers(self.baseline.session, data)
        harm = {}
        for node in maker.nodes():
            path = self._workspace.folder / "sensitivity.onnx"
            try:
                _fs.write_atomic(path, maker.make_only(node, recipe))
                session = self._engines.open_file(maker.format, path)
            except (UnavailableError, InputError):
                continue
            try:
                harm[node] = float(np.square(judge.answers(session, data) - wanted).mean())
            finally:
                session.close()
        return sorted(harm, key=lambda node: -harm[node])

    def _finalists(self) -> None:
        fitting = by_objective(self._fitting(), self._options.objective)
        finalists = fitting[: FINAL.keep]
        self._say(5, f"timing {len(finalists)} finalists")
        for trial in fitting[FINAL.keep :]:
            self._lay_aside(trial, finalists[-1])
        self._score(finalists, "select")
        self._measure(finalists, FINAL)
        self._weigh([self.baseline, *finalists])

    def _weigh(self, trials: Sequence[Trial]) -> None:
        """Memory in a process of its own, and what a transfer would carry."""
        for trial in trials:
            content = trial.path.read_bytes()
            trial.packed_bytes = len(ZstdCompressor(level=19).compress(content))
            trial.huffman_bytes = huffman_bytes(content)
            if self._engines.weigh is not None:
                trial.memory_bytes = self._engines.weigh(engine_of(trial.recipe), trial.path)

    def _fitting(self) -> list[Trial]:
        """Open trials whose point estimate keeps the budget."""
        return [
            trial
            for trial in self._open()
            if trial.drop and trial.drop.value <= self._options.max_drop
        ]

    def _lay_aside(self, trial: Trial, worst_kept: Trial) -> None:
        trial.settle(
            "rejected",
            "left the search early: " + loses_to(trial, worst_kept, self._options.objective),
        )

    # Deciding

    def _confirm(self) -> Trial:
        self._say(6, "confirming on data that selected nothing")
        options = self._options
        for trial in self._open():
            if (
                trial.drop
                and (
                    reason := rejected_for_drop(
                        trial.drop, options.max_drop, rows=trial.rows, where="select"
                    )
                )
            ) or (trial.ratio and (reason := not_faster(trial.ratio, options.objective))):
                trial.settle("rejected", reason)
        winner = self._first_confirmed(by_objective(self._open(), options.objective))
        if winner is None:
            self.baseline.settle("chosen", "no variant is better and proves the budget")
            return self.baseline
        for trial in self._open():
            if trial is not winner:
                trial.settle("fits", loses_to(trial, winner, options.objective))
        winner.settle("chosen", self._praise(winner))
        self.baseline.settle("baseline", "what every variant is compared to")
        return winner

    def _first_confirmed(self, ordered: list[Trial]) -> Trial | None:
        confirm = self.data.confirm
        is_accuracy = isinstance(self.data.judge.metric, Accuracy)
        least = least_upper(confirm.rows) if is_accuracy else None
        for position, trial in enumerate(ordered):
            if position == MAX_CONFIRMED:
                break
            inputs = self.data.select.inputs
            fault = edge_fault(trial.session, inputs, self._options.seed)
            if fault := fault or batch_fault(trial.session, inputs):
                trial.settle("rejected", fault)
                continue
            self._score([trial], "confirm")
            if not trial.is_open or trial.drop is None:
                continue
            reason = rejected_for_bound(
                trial.drop, self._options.max_drop, rows=confirm.rows, least=least
            )
            if not reason:
                return trial
            trial.settle("rejected", reason)
        for trial in ordered[MAX_CONFIRMED:]:
            trial.settle(
                "rejected", f"{MAX_CONFIRMED} better variants did not prove the budget already"
            )
        return None

    def _praise(self, winner: Trial) -> str:
        assert winner.drop and winner.ratio  # noqa: S101,PT018  # a confirmed trial has both
        what = {"latency": "the fastest", "size": "the smallest", "energy": "the most frugal"}
        return (
            f"{what[self._options.objective]} variant whose 95 % bound on the drop "
            f"({winner.drop.upper:.2f} points) keeps the budget of {self._options.max_drop:g}; "
            f"{winner.ratio.value:.2f} times the p50 of fp32"
        )


def _can_be_rescued(recipe: VariantRecipe) -> bool:
    if isinstance(recipe, OpenVinoRecipe):
        return recipe.kind.startswith("int8 nncf")
    return isinstance(recipe, StaticInt8)


def _for_all(rung: Rung, count: int) -> Rung:
    """The same time for each as in a final."""
    seconds = rung.seconds * max(count, rung.keep) / rung.keep
    return msgspec.structs.replace(rung, seconds=seconds)


def _static(trial: Trial) -> StaticInt8:
    assert isinstance(trial.recipe, StaticInt8)  # noqa: S101  # only these are rescued
    return trial.recipe
