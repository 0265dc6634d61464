"""From a recipe to an engine file's bytes. One maker per engine format; the search knows only the
port.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import onnx

from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array, Session
from edgewright.workbench.convert import cleaned, onnx_bytes
from edgewright.workbench.optimize.quantise import dynamic_int8, quantisable_nodes, static_int8
from edgewright.workbench.optimize.ranges import Calibrator, Observation, Ranges, observe, ranges_by
from edgewright.workbench.optimize.rewrite import (
    prepared,
    raised,
    tidied,
    with_conv2d,
    with_fp16_weights,
    with_int8_weights,
)
from edgewright.workbench.optimize.variants import (
    BASELINE,
    DynamicInt8,
    Plain,
    ProviderFp32,
    StaticInt8,
    VariantRecipe,
    everything,
    structures,
)

OpenFile = Callable[[Path], Session]

Points = Callable[[Callable[[Mapping[str, Array]], dict[str, Array]]], float]
"""The metric, in points on the select set, of whatever answers for the model."""


class Maker(Protocol):
    """Makes variants of one model in one engine format."""

    format: str
    suffix: str

    def recipes(self) -> Iterable[VariantRecipe]:
        """What it can try, in the order of hope."""

    def everything(self) -> Iterable[VariantRecipe]:
        """The whole space, for an exhaustive search."""

    def make(self, recipe: VariantRecipe) -> bytes:
        """The engine file.

        Raises:
            UnavailableError: this recipe cannot be applied to this model.
        """


class OnnxMaker:
    """Variants for ONNX Runtime."""

    format = "onnx"
    suffix = ".onnx"

    def __init__(
        self, model: onnx.ModelProto, calibration: Mapping[str, Array], open_file: OpenFile
    ) -> None:
        self._model = prepared(model)
        self._calibration = calibration
        self._open_file = open_file
        self._newer: onnx.ModelProto | None = None
        self._observations: dict[str, Observation] | None = None
        self._ranges: dict[Calibrator, Ranges] = {}

    def recipes(self) -> Iterable[VariantRecipe]:
        """The whole space of structures."""
        return structures()

    def everything(self) -> Iterable[VariantRecipe]:
        """Every structure with every calibrator."""
        return everything()

    def make(self, recipe: VariantRecipe) -> bytes:
        """The ONNX file of a recipe; see `Maker.make`."""
        return onnx_bytes(cleaned(self._made(recipe)))

    def make_only(self, node: str, recipe: StaticInt8) -> bytes:
        """A variant with one node in integers, to see how much that node suffers."""
        ranges = self._ranges_of(recipe.calibrator)
        return onnx_bytes(cleaned(static_int8(self._raised(), ranges, recipe, only=(node,))))

    def nodes(self) -> tuple[str, ...]:
        """Nodes that can be kept in float."""
        return quantisable_nodes(self._raised())

    def _made(self, recipe: VariantRecipe) -> onnx.ModelProto:
        match recipe:
            case Plain():
                return self._plain(recipe)
            case DynamicInt8():
                return dynamic_int8(self._raised(), recipe)
            case StaticInt8():
                return static_int8(self._raised(), self._ranges_of(recipe.calibrator), recipe)
            case ProviderFp32():
                return self._model
            case _:
                raise UnavailableError(f"{recipe.name} is no ONNX variant")

    def _plain(self, recipe: Plain) -> onnx.ModelProto:
        if recipe == BASELINE:
            return self._model
        rewrites = {
            "fp32 tidied": (tidied, "there is nothing to tidy up"),
            "fp32 conv1d-as-conv2d": (with_conv2d, "the model has no Conv1d"),
            "fp16 weights": (with_fp16_weights, "the model has no weights worth it"),
            "int8 weights": (with_int8_weights, "the model has no weights worth it"),
        }
        rewrite, reason = rewrites[recipe.kind]
        has_integers = recipe.kind == "int8 weights"
        made = rewrite(self._raised() if has_integers else self._model)
        if made is None:
            raise UnavailableError(reason)
        return made

    def _raised(self) -> onnx.ModelProto:
        """What integers are made from: floats stay in the operator set that they came in."""
        if self._newer is None:
            self._newer = raised(self._model)
        return self._newer

    def _ranges_of(self, calibrator: Calibrator) -> Ranges:
        if self._observations is None:
            self._observations = observe(self._raised(), self._calibration, self._open_file)
        if calibrator not in self._ranges:
            self._ranges[calibrator] = ranges_by(calibrator, self._observations)
        return self._ranges[calibrator]
