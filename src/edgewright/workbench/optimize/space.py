"""Which makers a search has, and why others are missing.

Makers beyond ONNX are imported when their format is searched: each loads its own toolchain.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import onnx

from edgewright.errors import UnavailableError
from edgewright.runtimes import Runtime
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.grid_maker import GridMaker
from edgewright.workbench.optimize.maker import Maker, OnnxMaker, OpenFile, Points
from edgewright.workbench.optimize.ranges import Ranges
from edgewright.workbench.optimize.report import Candidate
from edgewright.workbench.optimize.variants import (
    BASELINES,
    EXECUTORCH,
    LITERT,
    ONNX,
    OPENVINO,
    Chained,
    Plain,
    StaticInt8,
    VariantRecipe,
)


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """What makers are made from."""

    source: onnx.ModelProto
    calibration: dict[str, Array]
    open_model: OpenFile
    points: Points
    max_drop: float


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain of compression steps left. With a `recipe` its weights were trained for that
    recipe's grid over `ranges`, and it is worth nothing on another one.
    """

    chain: str
    model: onnx.ModelProto
    recipe: StaticInt8 | None = None
    ranges: Ranges = {}


Tell = Callable[[float, str], None]
"""How far it is (0 to 1), and what it does."""


class Compress(Protocol):
    """Makes products from the training recipe of a model; rows for those that cannot be made."""

    def __call__(
        self, space: Space, folder: Path, tell: Tell
    ) -> tuple[list[Product], list[Candidate]]: ...


def makers_of(
    product: Product,
    formats: Sequence[str],
    runtimes: Mapping[str, Runtime | UnavailableError],
    space: Space,
) -> dict[str, Maker]:
    """Makers by format for what a chain left. Formats that cannot be searched have their row
    already.
    """
    if product.recipe is not None:
        is_wanted = ONNX in formats
        fixed = GridMaker(product.model, product.recipe, product.ranges)
        return {ONNX: fixed} if is_wanted else {}
    made, _ = makers_for(formats, runtimes, msgspec.structs.replace(space, source=product.model))
    return made


def chained_recipes(chain: str, makers: Mapping[str, Maker]) -> Iterator[VariantRecipe]:
    """What is tried of a product: float and the wide integer grids; the rest of the space was
    tried on the model itself.
    """
    for name, maker in makers.items():
        first = () if isinstance(maker, GridMaker) else (BASELINES[name],)
        for recipe in dict.fromkeys((*first, *maker.recipes())):
            is_narrow = isinstance(recipe, StaticInt8) and not recipe.wide
            is_stored = isinstance(recipe, Plain) and recipe.kind.endswith("weights")
            if not isinstance(recipe, Chained) and not is_narrow and not is_stored:
                yield Chained(chain=chain, then=recipe)


def makers_for(
    formats: Sequence[str], runtimes: Mapping[str, Runtime | UnavailableError], space: Space
) -> tuple[dict[str, Maker], list[Candidate]]:
    """Makers by format, and a row for each format that cannot be searched here.

    Raises:
        UnavailableError: none can.
    """
    makers: dict[str, Maker] = {}
    absent: list[Candidate] = []
    errors: list[UnavailableError] = []
    for name in formats:
        try:
            makers[name] = _maker(name, runtimes, space)
        except UnavailableError as error:
            errors.append(error)
            absent.append(
                Candidate(format=name, recipe="all", verdict="unavailable", reason=str(error))
            )
    if not makers:
        raise errors[0]
    return makers, absent


def _maker(name: str, runtimes: Mapping[str, Runtime | UnavailableError], space: Space) -> Maker:
    runtime = runtimes.get(name)
    if isinstance(runtime, UnavailableError):
        raise runtime
    if runtime is None:
        raise UnavailableError(f"no engine for format {name!r} was handed in")
    state = runtime.availability()
    if not state.available:
        raise UnavailableError(state.reason, hint=state.install)
    return _MAKERS[name](space)


def _onnx(space: Space) -> Maker:
    return OnnxMaker(space.source, space.calibration, space.open_model)


def _later(module: str, name: str) -> Callable[[Space], Maker]:
    def build(space: Space) -> Maker:
        try:
            found = importlib.import_module(f"edgewright.workbench.optimize.{module}")
        except ImportError as error:
            raise UnavailableError(f"{name} cannot be loaded: {error}") from error
        maker: Maker = getattr(found, name)(space)
        return maker

    return build


_MAKERS: dict[str, Callable[[Space], Maker]] = {
    ONNX: _onnx,
    OPENVINO: _later("openvino_maker", "OpenVinoMaker"),
    LITERT: _later("litert_maker", "LiteRtMaker"),
    EXECUTORCH: _later("executorch_maker", "ExecuTorchMaker"),
}
