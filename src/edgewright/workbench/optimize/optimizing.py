"""`optimize`: from a model and two npz files to the best variant and a report of all of them.

This file is the order of things: `evaluation.py` reads what variants are judged on, `engines.py`
says what runs them, `space.py` and the makers have the variants, `search.py` finds the best,
`reporting.py` writes it down.
"""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import onnxruntime

from edgewright import _fs
from edgewright.errors import EdgewrightError, UnavailableError
from edgewright.runtimes import Runtime
from edgewright.workbench.convert import read_onnx
from edgewright.workbench.optimize.catalogue import CatalogueTarget, all_targets, find_target
from edgewright.workbench.optimize.engines import (
    Runtimes,
    Weigh,
    engine_of_the_model,
    opener,
    providers,
    searched_formats,
)
from edgewright.workbench.optimize.evaluation import read_data
from edgewright.workbench.optimize.here import Here
from edgewright.workbench.optimize.maker import Maker
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.place import Place
from edgewright.workbench.optimize.report import Candidate, OptimizeReport
from edgewright.workbench.optimize.reporting import notes_on, report_of, write_report
from edgewright.workbench.optimize.search import SEARCH_STEPS, Search
from edgewright.workbench.optimize.space import Compress, Space, makers_for, makers_of
from edgewright.workbench.optimize.variants import ONNX
from edgewright.workbench.optimize.workshop import Engines
from edgewright.workbench.optimize.workspace import Workspace, key_of

_TEACHING_STEPS = 30.0
"""Teaching takes this many times as long as a step of the search, for the bar."""

OnProgress = Callable[[Progress], None]


def optimize(
    model: Path,
    calibration: Path,
    evaluation: Path,
    options: OptimizeOptions,
    out: Path,
    *,
    runtimes: Mapping[str, Runtime | UnavailableError],
    targets: Sequence[CatalogueTarget] | None = None,
    weigh: Weigh | None = None,
    place: Place | None = None,
    compress: Compress | None = None,
    on_progress: OnProgress = lambda _: None,
) -> OptimizeReport:
    """Write `out/best.*`, `out/report.json` and `out/report.html`.

    `runtimes` are engines by format, or why there is none; `targets` are those that
    may be named, all known ones if absent; `weigh` measures the memory that a file needs in a
    process of its own; `place` measures variants instead of this machine; `compress`
    makes smaller models where the training recipe is at hand. A search that was killed goes on
    where it stopped when it is called again with the same inputs.

    Raises:
        InputError: the model or the data is wrong, or the target is unknown.
        UnavailableError: no engine here makes variants for the target.
    """
    target = None
    if options.target:
        target = find_target(options.target, all_targets() if targets is None else targets)
    source = read_onnx(model, takes_in=False)
    open_model = partial(engine_of_the_model(runtimes).open, threads=options.threads)
    judged = read_data(model, calibration, evaluation, options, open_model)
    space = Space(
        source=source,
        calibration=judged.calibration,
        open_model=open_model,
        points=judged.data.points,
        max_drop=options.max_drop,
    )
    formats = searched_formats(runtimes, target, options)
    makers, absent = makers_for(formats, runtimes, space)
    engines = Engines(
        makers=makers,
        open_file=opener(runtimes, options.threads, judged.tensors),
        more=providers(runtimes, target) if ONNX in makers and place is None else (),
    )
    if place is None:
        place = Here(
            seed=options.seed,
            threads=options.threads,
            counts_core_time=engines.all_on_cpu and options.threads == 1,
            weigh=weigh,
        )
    workspace = Workspace(out, _key(model, calibration, evaluation, options))
    was_there = out.exists()
    workspace.open()
    spent_s = _counter(workspace)
    on_progress = _counting(on_progress, workspace, spent_s)
    try:
        chained, refused, on_progress = _compressed(
            compress, space, workspace, (formats, runtimes), on_progress
        )
        search = Search(
            msgspec.structs.replace(engines, chained=chained),
            judged.data,
            options,
            workspace=workspace,
            place=place,
            on_progress=on_progress,
        )
        try:
            winner = search.run()
            report = report_of(model, search, winner, options, judged.split)
        finally:
            search.close()
        report = msgspec.structs.replace(
            report,
            candidates=(*report.candidates, *refused, *absent),
            notes=(*notes_on(target, judged.calibration, judged.data, place), *place.notes),
            measured_on=place.name,
            measured_machine=place.machine if place.name else None,
            search_cpu_s=round(spent_s(), 3),
        )
        write_report(report, winner.path, out)
    except EdgewrightError:
        workspace.close()
        if not was_there:
            _fs.remove_tree(out)
        raise
    workspace.close()
    return report


def _compressed(
    compress: Compress | None,
    space: Space,
    workspace: Workspace,
    where: tuple[tuple[str, ...], Runtimes],
    on_progress: OnProgress,
) -> tuple[dict[str, dict[str, Maker]], list[Candidate], OnProgress]:
    """Makers of compressed models by chain, rows for what was refused, and how the search that
    follows tells how far it is: teaching takes most of the time.
    """
    if compress is None:
        return {}, [], on_progress
    total = SEARCH_STEPS + _TEACHING_STEPS

    def tell(share: float, text: str) -> None:
        on_progress(Progress(share * _TEACHING_STEPS, total, text))

    products, refused = compress(space, workspace.folder, tell)
    makers = {one.chain: makers_of(one, *where, space) for one in products}
    return (
        makers,
        refused,
        lambda at: on_progress(Progress(_TEACHING_STEPS + at.done, total, at.text)),
    )


def _counter(workspace: Workspace) -> Callable[[], float]:
    """CPU seconds of this search so far, calls of it that were stopped included."""
    before_s, started_s = workspace.spent_s(), _cpu_s()
    return lambda: before_s + _cpu_s() - started_s


def _counting(
    on_progress: OnProgress, workspace: Workspace, spent_s: Callable[[], float]
) -> OnProgress:
    """Keeps what was spent whenever progress is told: what a stopped call took is no gift."""

    def tell(progress: Progress) -> None:
        workspace.keep_spent(spent_s())
        on_progress(progress)

    return tell


def _cpu_s() -> float:
    """This process and those it has started and ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _key(model: Path, calibration: Path, evaluation: Path, options: OptimizeOptions) -> str:
    parts = [path.read_bytes() for path in (model, calibration, evaluation)]
    return key_of(*parts, msgspec.json.encode(options), onnxruntime.__version__.encode())
