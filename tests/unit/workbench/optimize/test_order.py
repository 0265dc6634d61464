"""What waits for what, and what need not be made."""

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from edgewright.evidence import Interval
from edgewright.workbench.optimize.order import by_turns, not_worth_making
from edgewright.workbench.optimize.trial import Trial
from edgewright.workbench.optimize.variants import (
    Chained,
    StaticInt8,
    VariantRecipe,
    structures,
)

FIRST = StaticInt8(activations="u8", weights="s8", reduce_range=True)
TWIN = msgspec.structs.replace(FIRST, reduce_range=False)
CHANNELS = msgspec.structs.replace(FIRST, per_channel=True)


def trial(recipe: VariantRecipe, low: float | None) -> Trial:
    ratio = None if low is None else Interval(low + 0.1, low, low + 0.2)
    return cast("Trial", SimpleNamespace(recipe=recipe, ratio=ratio, name=recipe.name))


def test_all_are_there_once_and_after_what_they_wait_for() -> None:
    wanted = list(structures())
    turns = by_turns(wanted)
    order = [one for one, _ in turns]

    assert sorted(order, key=str) == sorted(wanted, key=str)
    assert all(order.index(lead) < order.index(one) for one, lead in turns if lead)
    assert sum(lead is None for _, lead in turns) == 12
    assert dict(turns)[msgspec.structs.replace(TWIN, per_channel=True)] == CHANNELS


def test_nothing_waits_for_what_is_not_wanted() -> None:
    assert by_turns([TWIN, CHANNELS]) == [(TWIN, None), (CHANNELS, None)]


def test_chains_wait_for_their_own() -> None:
    first, twin = (Chained(chain="pruned", then=one) for one in (FIRST, TWIN))
    assert by_turns([twin, TWIN, first]) == [(TWIN, None), (first, None), (twin, first)]


@pytest.mark.parametrize(
    ("recipe", "low", "fits", "words"),
    [
        (TWIN, 0.4, True, "keeps the budget"),
        (TWIN, 0.4, False, ""),
        (TWIN, 1.05, False, "slower than fp32"),
        (CHANNELS, 0.4, True, ""),
        (CHANNELS, 1.05, False, ""),
        (CHANNELS, 1.2, False, "slower than fp32"),
        (CHANNELS, None, False, ""),
    ],
)
def test_only_what_cannot_win_is_left_out(
    recipe: VariantRecipe, low: float | None, words: str, *, fits: bool
) -> None:
    reason = not_worth_making(recipe, trial(FIRST, low), fits=fits)
    assert words in reason
    assert bool(reason) == bool(words)
