"""`optimize` for a finished run: its module as ONNX, data of people it did not see, and chains of
compression beside the search.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from edgewright.errors import UnavailableError
from edgewright.runtimes import Runtime
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.optimize.catalogue import CatalogueTarget
from edgewright.workbench.optimize.chain import parse_chain
from edgewright.workbench.optimize.compress import Lessons, compressor, read_lessons
from edgewright.workbench.optimize.engines import Weigh
from edgewright.workbench.optimize.inputs import write_calibration, write_evaluation
from edgewright.workbench.optimize.optimizing import optimize
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.place import Place
from edgewright.workbench.optimize.report import OptimizeReport


class RunData(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data of a run are: `folder` is its project; what is given replaces what would be
    cut from the run's own data.
    """

    folder: Path
    calibration: Path | None = None
    evaluation: Path | None = None


def optimize_run(
    run: Path,
    data: RunData,
    options: OptimizeOptions,
    out: Path,
    *,
    runtimes: Mapping[str, Runtime | UnavailableError],
    targets: Sequence[CatalogueTarget] | None = None,
    weigh: Weigh | None = None,
    place: Place | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> OptimizeReport:
    """As `optimize`, with the chains of the options. Training rows teach and calibrate, rows of
    people that were held out of the run judge.

    Raises:
        InputError: no finished run, data that are not its own, or wrong options.
        UnavailableError: no engine here makes variants for the target.
    """
    lessons = read_lessons(run, data=data.folder)
    chains = [parse_chain(text) for text in options.chains]
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        desk = Path(name)
        model = export_lessons(lessons, desk / f"{run.resolve().name}.onnx")
        return optimize(
            model,
            data.calibration or write_calibration(lessons.train, desk, options.seed),
            data.evaluation or write_evaluation(lessons.held_out, desk),
            options,
            out,
            runtimes=runtimes,
            targets=targets,
            weigh=weigh,
            place=place,
            compress=compressor(lessons, chains) if chains else None,
            on_progress=on_progress,
        )


def export_lessons(lessons: Lessons, path: Path) -> Path:
    """The run's own module as ONNX."""
    export_onnx(
        lessons.teacher,
        tuple(tensor.numpy() for tensor in lessons.example),
        path,
        inputs=tuple(lessons.train.inputs),
        outputs=graph_outputs(lessons.recipe.contract(lessons.record.facts)),
    )
    return path
