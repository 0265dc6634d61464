"""A challenger beside the champion on the same test, and whether it may take its place.

The claim is about new people, so the bootstrap draws whole people. Every further look at one test
makes luck likelier; the number of earlier challengers is part of the report and narrows the error
that this one may make (Bonferroni).
"""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.evidence import Interval
from edgewright.evidence.intervals import paired_bootstrap_drop

CONFIDENCE = 0.95
_SEED = 0

Outcome = Literal["better", "no worse", "worse", "undecided"]


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """Scores are in points (0 to 100); `gain` is the challenger's minus the champion's, with its
    interval at `confidence`.
    """

    champion: float
    challenger: float
    gain: Interval
    rows: int
    groups: int
    earlier_looks: int
    max_drop: float
    outcome: Outcome

    @property
    def is_accepted(self) -> bool:
        """Whether the challenger may take the champion's place."""
        return self.outcome in ("better", "no worse")


def challenge(
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    groups: NDArray[np.str_],
    *,
    max_drop: float,
    earlier_looks: int = 0,
) -> Challenge:
    """Judge a challenger by the scores (0 to 1) that both got on each row of the test.

    >>> right, group = np.ones(40), np.repeat(np.array(list("abcd")), 10)
    >>> challenge(right, right, group, max_drop=0.5).outcome
    'no worse'

    Raises:
        InputError: the scores do not pair, or are of one group only.
    """
    if max_drop < 0:
        raise InputError(f"max_drop is {max_drop:g}, expected 0 or more points")
    confidence = 1 - (1 - CONFIDENCE) / (1 + earlier_looks)
    drop = paired_bootstrap_drop(
        100 * champion,
        100 * challenger,
        groups=groups,
        confidence=confidence,
        rng=np.random.default_rng(_SEED),
    )
    if drop.low is None or drop.high is None:
        raise InputError("a drop without bounds", hint="test on more groups")
    gain = Interval(-drop.value, -drop.high, -drop.low, confidence)
    return Challenge(
        champion=100 * float(champion.mean()),
        challenger=100 * float(challenger.mean()),
        gain=gain,
        rows=len(champion),
        groups=len(np.unique(groups)),
        earlier_looks=earlier_looks,
        max_drop=max_drop,
        outcome=_outcome(-drop.high, -drop.low, max_drop),
    )


def _outcome(low: float, high: float, max_drop: float) -> Outcome:
    if low > 0:
        return "better"
    if low >= -max_drop:
        return "no worse"
    return "worse" if high < -max_drop else "undecided"
