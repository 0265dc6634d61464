"""The search: make, screen, halve, rescue, confirm.

Variants that a measured one makes needless are never made. Those that are slower than fp32 or
clearly out of budget leave after a few rounds and a few samples; the rest meet the whole select set
and more rounds; the best few meet the confirm set one after the other until one proves the budget.
Latencies that are compared come from one interleaved run, those of finalists from several, each
with sessions of its own.

This file is the order of things: `order.py` says what waits for what, `workshop.py` makes variants,
`scales.py` measures them, `choose.py` has the rules by which they leave, `rescue.py` and
`confirm.py` are two of the stages.
"""

from collections.abc import Callable, Sequence

import msgspec

from edgewright.errors import InputError
from edgewright.workbench.optimize.choose import (
    by_objective,
    loses_to,
    rejected_for_speed,
    shortlist,
)
from edgewright.workbench.optimize.confirm import confirm
from edgewright.workbench.optimize.evaluation import SearchData
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.order import by_turns, not_worth_making
from edgewright.workbench.optimize.place import Place
from edgewright.workbench.optimize.report import Candidate
from edgewright.workbench.optimize.rescue import Rescue, worth_rescuing
from edgewright.workbench.optimize.scales import Rung, Scales
from edgewright.workbench.optimize.trial import Trial
from edgewright.workbench.optimize.variants import VariantRecipe
from edgewright.workbench.optimize.workshop import Engines, Workshop
from edgewright.workbench.optimize.workspace import Workspace

SEARCH_STEPS = 6
SCREEN_ROWS = 256

SCREEN = Rung(rounds=10, seconds=3.0, keep=8)
HALVE = Rung(rounds=40, seconds=4.0, keep=4)
FINAL = Rung(rounds=300, seconds=8.0, keep=4, sittings=6)


class Search:
    """One search over the variants of one model."""

    def __init__(
        self,
        engines: Engines,
        data: SearchData,
        options: OptimizeOptions,
        *,
        workspace: Workspace,
        place: Place,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._options = options
        self._on_progress = on_progress
        self._workshop = Workshop(engines, workspace)
        self.trials: list[Trial] = []
        self._weighed: list[Trial] = []
        baseline = self._workshop.make(self._workshop.baseline)
        if baseline is None:
            reason = self._workshop.failed[-1].reason
            raise InputError("the model cannot be opened in fp32", hint=reason)
        self.baseline = baseline
        self.scales = Scales(
            baseline,
            data,
            options,
            workspace=workspace,
            place=place,
            open_again=self._workshop.open_again,
        )

    def run(self) -> Trial:
        """Search; every trial has its verdict afterwards. Returns the chosen one."""
        if self._options.exhaustive:
            self._make_all()
            self.scales.score(self._open(), "select")
            self.scales.time(self._open(), _for_all(FINAL, len(self._open())))
        else:
            self._make_and_screen()
            self._halve()
            self._rescue()
            self._finalists()
        self._say(6, "confirming on data that selected nothing")
        winner = confirm(self.trials, self.scales, self._options)
        self.scales.pack(self._weighed)
        return winner

    def candidates(self) -> list[Candidate]:
        """Every variant of the report, best verdicts first."""
        order = {"chosen": 0, "baseline": 1, "fits": 2, "rejected": 3, "failed": 4}
        rows = [trial.candidate() for trial in (self.baseline, *self.trials)]
        rows += [*self._workshop.failed, *self._workshop.left_out]
        return sorted(rows, key=lambda row: (order[row.verdict], row.latency_ratio or 9.0))

    def close(self) -> None:
        """Let go of every engine that is still open."""
        for trial in (self.baseline, *self.trials):
            trial.close()

    # Stages

    def _make_all(self) -> None:
        wanted = self._workshop.recipes(exhaustive=True)
        for position, recipe in enumerate(wanted):
            self._say_making(recipe, position, len(wanted))
            self._add(recipe)

    def _make_and_screen(self) -> None:
        """What others wait for first; each turn is screened before the next is made."""
        turns = by_turns(self._workshop.recipes(exhaustive=False))
        known: dict[VariantRecipe, Trial | str | None] = {}
        waiting: list[Trial] = []
        for position, (recipe, lead) in enumerate(turns):
            first = known.get(lead) if lead else None
            if first in waiting:
                self._screen(waiting)
                waiting = []
            if reason := self._needless(recipe, first):
                known[recipe] = reason
                self._workshop.leave_out(recipe, reason)
                continue
            self._say_making(recipe, position, len(turns))
            known[recipe] = trial = self._add(recipe)
            waiting += [trial] if trial else []
        self._screen(waiting)

    def _needless(self, recipe: VariantRecipe, first: Trial | str | None) -> str:
        """Why it need not be made; `first` is what it waited for, or why that was not made."""
        if first is None or isinstance(first, str):
            return first or ""
        return not_worth_making(recipe, first, fits=self._fits(first))

    def _screen(self, trials: Sequence[Trial]) -> None:
        self._say(2, f"screening {len(trials)} variants")
        self._time_and_reject(trials)
        self.scales.score([trial for trial in trials if trial.is_open], "select", SCREEN_ROWS)

    def _halve(self) -> None:
        fitting = self._best_first(self._fitting())
        self._say(3, f"comparing the best {min(len(fitting), SCREEN.keep)} of {len(fitting)}")
        kept = self._keep(fitting, SCREEN.keep)
        self.scales.score(kept, "select")
        self.scales.time([trial for trial in kept if self._fits(trial)], HALVE)

    def _rescue(self) -> None:
        rescue = Rescue(self._workshop, self.scales, self._attempt, self._fits)
        fitting = self._best_first(self._fitting())
        for trial in worth_rescuing(self._best_first(self._open()), fitting):
            self._say(4, f"other calibrators and mixed precision for {trial.name}")
            rescue.rescue(trial)

    def _finalists(self) -> None:
        finalists = self._keep(self._best_first(self._fitting()), FINAL.keep)
        self._say(5, f"timing {len(finalists)} finalists")
        self.scales.score(finalists, "select")
        self.scales.time(finalists, FINAL)
        self._weighed = [self.baseline, *finalists]
        self.scales.weigh(self._weighed)

    # Steps of stages

    def _add(self, recipe: VariantRecipe) -> Trial | None:
        trial = self._workshop.make(recipe)
        if trial is not None:
            self.trials.append(trial)
        return trial

    def _attempt(self, recipe: VariantRecipe) -> Trial | None:
        """One more variant, screened like the others."""
        trial = self._add(recipe)
        if trial is None:
            return None
        self._time_and_reject([trial])
        if not trial.is_open:
            return None
        self.scales.score([trial], "select", SCREEN_ROWS)
        if self._fits(trial):
            self.scales.score([trial], "select")
        return trial

    def _time_and_reject(self, trials: Sequence[Trial]) -> None:
        self.scales.time(trials, SCREEN)
        for trial in trials:
            if trial.ratio and (reason := rejected_for_speed(trial.ratio)):
                trial.settle("rejected", reason)

    def _keep(self, ordered: list[Trial], count: int) -> list[Trial]:
        """So many that promise most; the others leave."""
        rows = self.scales.data.confirm.rows
        kept, left = shortlist(ordered, count, self._options.max_drop, confirm_rows=rows)
        for trial in left:
            reason = loses_to(trial, kept[0], self._options.objective)
            trial.settle("rejected", f"left the search early: {reason}")
        return kept

    def _open(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.is_open]

    def _fits(self, trial: Trial) -> bool:
        """Whether it is open and its point estimate keeps the budget."""
        if trial.drop is None or not trial.is_open:
            return False
        return trial.drop.value <= self._options.max_drop

    def _fitting(self) -> list[Trial]:
        return [trial for trial in self.trials if self._fits(trial)]

    def _best_first(self, trials: list[Trial]) -> list[Trial]:
        return by_objective(trials, self._options.objective)

    def _say_making(self, recipe: VariantRecipe, position: int, count: int) -> None:
        self._say(1, f"making {position + 1} of {count}: {recipe.format} {recipe.name}")

    def _say(self, stage: int, text: str) -> None:
        self._on_progress(Progress(stage, SEARCH_STEPS, text))


def _for_all(rung: Rung, count: int) -> Rung:
    """The same time for each as in a final."""
    seconds = rung.seconds * max(count, rung.keep) / rung.keep
    return msgspec.structs.replace(rung, seconds=seconds, sittings=1)
