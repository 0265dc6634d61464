"""ONNX operators in torch, for the operators that exported networks use; one file per family, and
`OPERATORS` has all of them.

Shapes that a graph computes (Shape, Gather, Concat, ...) stay python lists of sizes, so that
torch.export keeps a free batch free.
"""

from edgewright.workbench.convert.torch_ops import (
    activations,
    arithmetic,
    norms,
    pieces,
    recurrent,
    reductions,
    shapes,
    windows,
)
from edgewright.workbench.convert.torch_ops.values import Operator, Value

_FAMILIES = (activations, arithmetic, norms, pieces, recurrent, reductions, shapes, windows)

OPERATORS: dict[str, Operator] = {
    name: run for family in _FAMILIES for name, run in family.OPERATORS.items()
}

__all__ = ["OPERATORS", "Value"]
