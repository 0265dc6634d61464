"""Compression that needs the training recipe: chains of pruning, distillation, training on the
integer grid, shared and absent weights.

A chain is written as its steps, `prune=0.5,distil,qat,cluster=32`; what every prefix that can be
served leaves is a product, which the search then measures like any other variant. Loads torch, so
it is imported when a run with its recipe is optimised and not before.
"""

from edgewright.workbench.optimize.compress.lessons import Lessons, read_lessons
from edgewright.workbench.optimize.compress.products import compressor

__all__ = ["Lessons", "compressor", "read_lessons"]
