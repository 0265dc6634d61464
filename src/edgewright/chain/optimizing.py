"""`optimize` with the engines of this machine: who runs which format, and why others do not."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from edgewright.chain.engines import engine_for_format, engine_named
from edgewright.chain.weighing import weigh
from edgewright.errors import UnavailableError
from edgewright.runtimes import Runtime
from edgewright.workbench.optimize import OptimizeOptions, OptimizeReport, Progress, optimize
from edgewright.workbench.optimize.variants import FORMATS

_PROVIDERS = ("onnxruntime-cuda", "onnxruntime-tensorrt")


class OptimizeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright optimize` was asked for."""

    model: Path
    calibration: Path
    evaluation: Path
    options: OptimizeOptions
    out: Path


def optimize_here(
    order: OptimizeOrder, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> OptimizeReport:
    """Search with everything that is installed.

    Raises:
        InputError: the model or the data is wrong, or the target is unknown.
        UnavailableError: no engine here makes variants for the target.
    """
    return optimize(
        order.model,
        order.calibration,
        order.evaluation,
        order.options,
        order.out,
        runtimes=engines_here(order.options.formats),
        weigh=weigh,
        on_progress=on_progress,
    )


def engines_here(formats: tuple[str, ...] = ()) -> dict[str, Runtime | UnavailableError]:
    """The engine of each format that is searched, or why it cannot run; GPU providers only where
    they can.
    """
    found: dict[str, Runtime | UnavailableError] = {}
    for name in FORMATS:
        if formats and name not in formats and name != "onnx":
            continue
        try:
            found[name] = engine_for_format(name)
        except UnavailableError as error:
            found[name] = error
    for name in _PROVIDERS:
        runtime = engine_named(name)
        if runtime.availability().available:
            found[name] = runtime
    return found
