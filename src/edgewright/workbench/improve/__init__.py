"""From what devices saw to a model that learnt it: samples picked, labelled, and a challenger made
with them judged beside the champion.

Invariants: a pick is explained by numbers (how unsure the model was, how far from every earlier
pick), the same input gives the same picks, and the budget is never exceeded. A challenger is judged
on the champion's own test, and only a bound on what it may lose lets it take the place.

    >>> import numpy as np
    >>> scores = np.array([[4.0, 0.0], [0.1, 0.0], [0.0, 0.0]])
    >>> [chosen.index for chosen in pick(scores, None, 2)]
    [2, 1]
"""

from edgewright.workbench.improve.archive import labelled_archive, windows_of
from edgewright.workbench.improve.challenge import Challenge, challenge
from edgewright.workbench.improve.picking import Pick, pick
from edgewright.workbench.improve.pool import Pool, read_pool
from edgewright.workbench.improve.sheet import parse_sheet, write_sheet

__all__ = [
    "Challenge",
    "Pick",
    "Pool",
    "challenge",
    "labelled_archive",
    "parse_sheet",
    "pick",
    "read_pool",
    "windows_of",
    "write_sheet",
]
