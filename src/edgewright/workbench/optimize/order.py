"""In which order variants are made, so that many need not be. Pure.

Two that differ in the bits of their weights run equally fast, and a scale per channel never runs
faster than one per tensor. So the simplest goes first, with 7 bits, whose sums overflow on no
processor, and what it is like waits for what was measured of it.

>>> first = StaticInt8(activations="u8", weights="s8", reduce_range=True)
>>> finer = StaticInt8(activations="u8", weights="s8")
>>> by_turns([finer, first]) == [(first, None), (finer, first)]
True
"""

from collections.abc import Sequence

import msgspec

from edgewright.workbench.optimize.trial import Trial
from edgewright.workbench.optimize.variants import (
    Chained,
    DynamicInt8,
    StaticInt8,
    VariantRecipe,
)

LIKE = 1.1
"""What is like a variant that takes more than this many times as long as fp32 is not quicker than
fp32 itself.
"""


def by_turns(
    recipes: Sequence[VariantRecipe],
) -> list[tuple[VariantRecipe, VariantRecipe | None]]:
    """Each recipe with the one of them that it waits for, if any; those that wait come later."""
    wanted = set(recipes)
    waits_for = {one: lead if (lead := _lead(one)) in wanted else None for one in recipes}

    def turn(recipe: VariantRecipe) -> int:
        lead = waits_for[recipe]
        return 0 if lead is None else 1 + turn(lead)

    return sorted(waits_for.items(), key=lambda one: turn(one[0]))


def not_worth_making(recipe: VariantRecipe, lead: Trial, *, fits: bool) -> str:
    """Why a recipe need not be made after what was measured of its lead; empty when it must."""
    if lead.ratio is None:
        return ""
    if _is_twin(recipe, lead.recipe):
        if lead.ratio.low is not None and lead.ratio.low > 1.0:
            return f"as fast as {lead.name!r}, which is slower than fp32"
        return f"no faster than {lead.name!r}, which keeps the budget" if fits else ""
    if lead.ratio.low is not None and lead.ratio.low > LIKE:
        return f"no faster than {lead.name!r}, which is slower than fp32"
    return ""


def _lead(recipe: VariantRecipe) -> VariantRecipe | None:
    """The simpler one that goes first."""
    if isinstance(recipe, Chained):
        lead = _lead(recipe.then)
        if lead is None or isinstance(lead, Chained):
            return None
        return msgspec.structs.replace(recipe, then=lead)
    if not isinstance(recipe, StaticInt8 | DynamicInt8):
        return None
    if recipe.weights == "s8" and not recipe.reduce_range:
        return msgspec.structs.replace(recipe, reduce_range=True)
    return msgspec.structs.replace(recipe, per_channel=False) if recipe.per_channel else None


def _is_twin(recipe: VariantRecipe, lead: VariantRecipe) -> bool:
    """Whether the two differ in the bits of their weights."""
    ours, theirs = (one.then if isinstance(one, Chained) else one for one in (recipe, lead))
    return getattr(ours, "reduce_range", None) != getattr(theirs, "reduce_range", None)
