"""The best variant of a model for a target, found by measuring and proven on held-out data.

Invariants: the samples that select a variant never judge it; the 95 % upper bound of the drop, from
the confirm set alone, keeps the budget; nothing slower than fp32 is chosen; every candidate's row
says why it won or lost. When nothing fits, fp32 is chosen and the verdict says so.

    >>> options = OptimizeOptions(max_drop=0.5, objective="size")
    >>> options.seed, options.threads
    (0, 1)
    >>> OptimizeOptions(max_drop=-1.0)
    Traceback (most recent call last):
    ...
    edgewright.errors.InputError: max-drop is -1 points, expected 0 to 100; 0.5 means that the \
metric may fall by half a point
"""

from edgewright.workbench.optimize.catalogue import (
    CatalogueTarget,
    all_targets,
    find_target,
    packaged_targets,
)
from edgewright.workbench.optimize.optimizing import optimize
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.recommending import Advice, Needs, recommend_targets
from edgewright.workbench.optimize.report import Candidate, OptimizeReport, Split

__all__ = [
    "Advice",
    "Candidate",
    "CatalogueTarget",
    "Needs",
    "OptimizeOptions",
    "OptimizeReport",
    "Progress",
    "Split",
    "all_targets",
    "find_target",
    "optimize",
    "packaged_targets",
    "recommend_targets",
]
