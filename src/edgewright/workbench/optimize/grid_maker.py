"""The one variant of a graph that was trained for one grid."""

from collections.abc import Iterable

import onnx

from edgewright.workbench.convert import cleaned, onnx_bytes
from edgewright.workbench.optimize.quantise import static_int8
from edgewright.workbench.optimize.ranges import Ranges
from edgewright.workbench.optimize.rewrite import prepared
from edgewright.workbench.optimize.variants import StaticInt8, VariantRecipe


class GridMaker:
    """Rounds trained weights to the grid that they were trained on."""

    format = "onnx"
    suffix = ".onnx"

    def __init__(self, model: onnx.ModelProto, recipe: StaticInt8, ranges: Ranges) -> None:
        self._model = prepared(model)
        self._recipe = recipe
        self._ranges = ranges

    def recipes(self) -> Iterable[VariantRecipe]:
        """One."""
        yield self._recipe

    def everything(self) -> Iterable[VariantRecipe]:
        """The same one."""
        return self.recipes()

    def make(self, recipe: VariantRecipe) -> bytes:
        """The file; see `Maker.make`."""
        del recipe  # there is one
        return onnx_bytes(cleaned(static_int8(self._model, self._ranges, self._recipe)))
