"""Variants for LiteRT: the converted float file, and what LiteRT's own quantiser makes of it.

Converter and quantiser live in an environment of their own (`.venv-convert-litert`); each recipe is
one short process there.
"""

from collections.abc import Iterable
from pathlib import Path

from edgewright._npz import encode_npz
from edgewright.errors import UnavailableError
from edgewright.workbench.convert import check_available, find_format
from edgewright.workbench.convert.artefact import Job
from edgewright.workbench.convert.child_venv import LITERT, run_child
from edgewright.workbench.convert.lite_file import LiteModel
from edgewright.workbench.convert.litert_file import litert_bytes
from edgewright.workbench.optimize.rewrite import prepared
from edgewright.workbench.optimize.space import Space
from edgewright.workbench.optimize.variants import LiteRtRecipe, VariantRecipe

CALIBRATION_ROWS = 128
_LIMIT_S = 900.0
_QUANTISE = str(Path(__file__).parent / "children" / "litert_quantise.py")


class LiteRtMaker:
    """Makes LiteRT files for one sample at a time."""

    format = "litert"
    suffix = ".tflite"

    def __init__(self, space: Space) -> None:
        check_available(find_format("litert"))
        self._model = prepared(space.source)
        # By position: a converted file's signature lists its inputs in the model's order.
        self._calibration = {
            f"input_{position}": array[:CALIBRATION_ROWS]
            for position, array in enumerate(space.calibration.values())
        }
        self._float: bytes | UnavailableError | None = None

    def recipes(self) -> Iterable[VariantRecipe]:
        """Float first: when it cannot be made, neither can the others."""
        yield LiteRtRecipe(kind="fp32")
        yield LiteRtRecipe(kind="int8 static")
        yield LiteRtRecipe(kind="int8 dynamic")
        yield LiteRtRecipe(kind="int8 weights int16 activations")

    def everything(self) -> Iterable[VariantRecipe]:
        """For an exhaustive search."""
        yield from self.recipes()
        yield LiteRtRecipe(kind="int8 weights")

    def make(self, recipe: VariantRecipe) -> bytes:
        """The file of a recipe; see `Maker.make`."""
        content = self._converted()
        if recipe.name == "fp32":
            return content
        made = run_child(
            LITERT,
            _QUANTISE,
            {"model.tflite": content, "calib.npz": encode_npz(self._calibration)},
            arguments=(recipe.name,),
            timeout_s=_LIMIT_S,
        )
        return LiteModel(made["quantised.tflite"], source="the quantiser's file").content()

    def _converted(self) -> bytes:
        """Converted once; a refusal is as final as a file."""
        if self._float is None:
            try:
                self._float = litert_bytes(Job(stem="model", model=self._model))
            except UnavailableError as error:
                self._float = error
        if isinstance(self._float, UnavailableError):
            raise self._float
        return self._float
