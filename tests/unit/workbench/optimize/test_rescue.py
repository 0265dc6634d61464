"""Which structures are worth milder variants, from values alone."""

from types import SimpleNamespace
from typing import cast

from edgewright.evidence import Interval
from edgewright.workbench.optimize.rescue import MAX_RESCUED_STRUCTURES, worth_rescuing
from edgewright.workbench.optimize.trial import Trial
from edgewright.workbench.optimize.variants import (
    BASELINE,
    OpenVinoRecipe,
    StaticInt8,
    VariantRecipe,
)

STATIC = StaticInt8(activations="u8", weights="s8")


def trial(ratio: float, recipe: VariantRecipe = STATIC) -> Trial:
    value = SimpleNamespace(recipe=recipe, ratio=Interval(ratio, ratio, ratio))
    return cast("Trial", value)


def test_what_would_win_clearly_is_worth_it_and_what_would_tie_is_not() -> None:
    fits, clear, tie = trial(0.5), trial(0.3), trial(0.49)
    assert worth_rescuing([clear, tie, fits], [fits]) == [clear]


def test_without_any_that_fits_it_must_beat_fp32() -> None:
    clear, tie = trial(0.8), trial(0.98)
    assert worth_rescuing([clear, tie], []) == [clear]


def test_floats_cannot_be_made_milder_and_no_more_than_a_few_are_tried() -> None:
    plain = trial(0.2, BASELINE)
    vino = trial(0.3, OpenVinoRecipe(kind="int8 nncf mixed"))
    many = [vino, *(trial(0.3 + at / 100) for at in range(5))]
    assert worth_rescuing([plain, *many], []) == many[:MAX_RESCUED_STRUCTURES]
