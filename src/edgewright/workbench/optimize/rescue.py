"""Fast structures that lose too much accuracy, made milder: other calibrators, then floats in the
most sensitive nodes, until one keeps the budget.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from edgewright.workbench.optimize.choose import GAIN_FOR_RESCUE
from edgewright.workbench.optimize.scales import Scales
from edgewright.workbench.optimize.trial import Trial, first_rows
from edgewright.workbench.optimize.variants import (
    CALIBRATORS,
    OpenVinoRecipe,
    StaticInt8,
    VariantRecipe,
)
from edgewright.workbench.optimize.workshop import Workshop

SENSITIVITY_ROWS = 64
MAX_RESCUED_STRUCTURES = 2
FLOAT_SHARES = (0.1, 0.25, 0.5)
"""How many of the most sensitive nodes stay in float, tried in this order."""

Attempt = Callable[[VariantRecipe], Trial | None]
"""Makes, times and scores one more variant; None where it cannot be, or is slow."""


def worth_rescuing(ordered: Sequence[Trial], fitting: Sequence[Trial]) -> list[Trial]:
    """Of all open trials, best first: those that would win clearly but miss the budget."""
    best = fitting[0].ratio.value if fitting and fitting[0].ratio else 1.0
    promising = [
        trial
        for trial in ordered
        if trial not in fitting
        and _can_be_rescued(trial.recipe)
        and trial.ratio
        and trial.ratio.value < best * GAIN_FOR_RESCUE
    ]
    return promising[:MAX_RESCUED_STRUCTURES]


class Rescue:
    """Tries milder variants of one structure; `fits` says which keep the budget."""

    def __init__(
        self, workshop: Workshop, scales: Scales, attempt: Attempt, fits: Callable[[Trial], bool]
    ) -> None:
        self._workshop = workshop
        self._scales = scales
        self._attempt = attempt
        self._fits = fits

    def rescue(self, trial: Trial) -> None:
        """Until one fits, or nothing is left to try."""
        if isinstance(trial.recipe, StaticInt8):
            self._soften(trial, trial.recipe)
        else:
            self._attempt(OpenVinoRecipe(kind="int8 accuracy-control"))

    def _soften(self, trial: Trial, recipe: StaticInt8) -> None:
        tried = [(trial, recipe)]
        for calibrator in CALIBRATORS[1:]:
            other = msgspec.structs.replace(recipe, calibrator=calibrator)
            if made := self._attempt(other):
                tried.append((made, other))
                if self._fits(made):
                    return
        _, best = min(tried, key=lambda one: one[0].drop.value if one[0].drop else np.inf)
        order = self._by_sensitivity(recipe)
        for share in FLOAT_SHARES:
            floats = tuple(sorted(order[: max(1, round(share * len(order)))]))
            mixed = self._attempt(msgspec.structs.replace(best, floats=floats))
            if mixed and self._fits(mixed):
                return

    def _by_sensitivity(self, recipe: StaticInt8) -> list[str]:
        """Nodes, the one whose integers cost the most accuracy first."""
        data = first_rows(self._scales.data.select, SENSITIVITY_ROWS)
        judge = self._scales.data.judge
        wanted = judge.answers(self._scales.baseline.session, data)
        harm = {}
        for node in self._workshop.nodes():
            session = self._workshop.open_only(node, recipe)
            if session is None:
                continue
            try:
                harm[node] = float(np.square(judge.answers(session, data) - wanted).mean())
            finally:
                session.close()
        return sorted(harm, key=lambda node: -harm[node])


def _can_be_rescued(recipe: VariantRecipe) -> bool:
    if isinstance(recipe, OpenVinoRecipe):
        return recipe.kind.startswith("int8 nncf")
    return isinstance(recipe, StaticInt8)
