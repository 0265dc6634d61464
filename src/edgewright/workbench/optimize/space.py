"""Which makers a search has, and why others are missing.

Makers beyond ONNX are imported when their format is searched: each loads its own toolchain.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence

import msgspec
import onnx

from edgewright.errors import UnavailableError
from edgewright.runtimes import Runtime
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.maker import Maker, OnnxMaker, OpenFile, Points
from edgewright.workbench.optimize.report import Candidate
from edgewright.workbench.optimize.variants import EXECUTORCH, LITERT, ONNX, OPENVINO


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """What makers are made from."""

    source: onnx.ModelProto
    calibration: dict[str, Array]
    open_model: OpenFile
    points: Points
    max_drop: float


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
