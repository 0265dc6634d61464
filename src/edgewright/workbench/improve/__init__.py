"""From what devices saw to what is worth learning: samples picked for labelling.

Invariants: a pick is explained by numbers (how unsure the model was, how far from every earlier
pick), the same input gives the same picks, and the budget is never exceeded.

    >>> import numpy as np
    >>> scores = np.array([[4.0, 0.0], [0.1, 0.0], [0.0, 0.0]])
    >>> [chosen.index for chosen in pick(scores, None, 2)]
    [2, 1]
"""

from edgewright.workbench.improve.picking import Pick, pick
from edgewright.workbench.improve.pool import Pool, read_pool

__all__ = ["Pick", "Pool", "pick", "read_pool"]
