"""`optimize` with the engines of this machine: who runs which format, and why others do not."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import msgspec

from edgewright.chain.engines import engine_for_format, engine_named
from edgewright.chain.weighing import weigh
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes import Runtime
from edgewright.workbench.convert import whole_onnx
from edgewright.workbench.optimize import (
    OptimizeOptions,
    OptimizeReport,
    Progress,
    all_targets,
    optimize,
)
from edgewright.workbench.optimize.place import Place
from edgewright.workbench.optimize.variants import FORMATS
from edgewright.workbench.pipeline.project import FILE as PROJECT_FILE

_PROVIDERS = ("onnxruntime-cuda", "onnxruntime-tensorrt")


class OptimizeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright optimize` was asked for. A model that is the folder of a finished run needs
    no npz, and `data` names its project where it lies in none.
    """

    model: Path
    options: OptimizeOptions
    out: Path
    calibration: Path | None = None
    evaluation: Path | None = None
    data: Path | None = None
    target_files: tuple[Path, ...] = ()


def optimize_here(
    order: OptimizeOrder,
    *,
    place: AbstractContextManager[Place] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> OptimizeReport:
    """Search with everything that is installed. Variants are timed and weighed in `place`, here
    when there is none.

    Raises:
        InputError: the model or the data is wrong, or the target is unknown.
        UnavailableError: no engine here makes variants for the target.
        TransportError: the machine that is to measure does not answer.
    """
    with place or nullcontext() as opened:
        return _optimize(order, opened, on_progress)


def _optimize(
    order: OptimizeOrder, place: Place | None, on_progress: Callable[[Progress], None]
) -> OptimizeReport:
    if order.model.is_dir():
        return _optimize_run(order, place, on_progress)
    if order.options.chains:
        raise InputError(
            f"{order.model}: a chain needs the training recipe",
            hint="give the folder of a finished run instead of its ONNX file",
        )
    if order.calibration is None or order.evaluation is None:
        raise InputError(
            "an ONNX model needs --calib and --eval",
            hint="npz files with one array per input; --eval also with y",
        )
    with _whole(order.model) as model:
        return optimize(
            model,
            order.calibration,
            order.evaluation,
            order.options,
            order.out,
            runtimes=engines_here(order.options.formats),
            targets=all_targets(order.target_files),
            weigh=weigh,
            place=place,
            on_progress=on_progress,
        )


@contextmanager
def _whole(model: Path) -> Iterator[Path]:
    """Exporters write weights beside the file by default: then a copy that has them inside, since
    every variant is one file.
    """
    content = whole_onnx(model)
    if not content:
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        path = Path(name) / model.name
        path.write_bytes(content)
        yield path


def _optimize_run(
    order: OptimizeOrder, place: Place | None, on_progress: Callable[[Progress], None]
) -> OptimizeReport:
    from edgewright.workbench.optimize.run import (  # noqa: PLC0415  # only runs need torch
        RunData,
        optimize_run,
    )

    return optimize_run(
        order.model,
        RunData(
            folder=order.data or _project_of(order.model),
            calibration=order.calibration,
            evaluation=order.evaluation,
        ),
        order.options,
        order.out,
        runtimes=engines_here(order.options.formats),
        targets=all_targets(order.target_files),
        weigh=weigh,
        place=place,
        on_progress=on_progress,
    )


def _project_of(run: Path) -> Path:
    """The project that a run lies in; the working directory when it lies in none."""
    parents = run.resolve().parents
    return next((folder for folder in parents if (folder / PROJECT_FILE).is_file()), Path.cwd())


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
