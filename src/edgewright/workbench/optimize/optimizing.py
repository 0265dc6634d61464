"""`optimize`: from a model and two npz files to the best variant and a report of all of them."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

from edgewright import _fs
from edgewright.contract import encode_json
from edgewright.errors import EdgewrightError, InputError, UnavailableError
from edgewright.measure import describe_machine
from edgewright.runtimes import Runtime, Session
from edgewright.runtimes.base import Array
from edgewright.workbench.convert import read_onnx
from edgewright.workbench.optimize.catalogue import CatalogueTarget, all_targets, find_target
from edgewright.workbench.optimize.labelled import (
    Labelled,
    bootstrap_groups,
    divide,
    read_calibration,
    read_evaluation,
    shared_rows,
)
from edgewright.workbench.optimize.maker import OnnxMaker
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.page import report_page
from edgewright.workbench.optimize.report import OptimizeReport, Split
from edgewright.workbench.optimize.search import Search, SearchData
from edgewright.workbench.optimize.trial import Judge, Trial
from edgewright.workbench.optimize.workspace import Workspace, key_of
from edgewright.workbench.verify import choose_metric, pick_answer, run_rows

REPORT_NAME = "report.json"
PAGE_NAME = "report.html"
FORMAT = "onnx"


def optimize(
    model: Path,
    calibration: Path,
    evaluation: Path,
    options: OptimizeOptions,
    out: Path,
    *,
    runtimes: Mapping[str, Runtime],
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> OptimizeReport:
    """Write `out/best.*`, `out/report.json` and `out/report.html`.

    `runtimes` are engines by format. A search that was killed goes on where it stopped when it is
    called again with the same inputs.

    Raises:
        InputError: the model or the data is wrong, or the target is unknown.
        UnavailableError: no engine here makes variants for the target.
    """
    target = find_target(options.target, all_targets()) if options.target else None
    open_file = _opener(runtimes, target, options.threads)
    source = read_onnx(model)
    data, calib, split = _data(model, calibration, evaluation, options, open_file)
    notes = _notes(target, calib, data)
    workspace = Workspace(out, _key(model, calibration, evaluation, options))
    was_there = out.exists()
    workspace.open()
    started_s = time.process_time()
    try:
        search = Search(
            OnnxMaker(source, calib, open_file),
            data,
            options,
            open_file=open_file,
            workspace=workspace,
            on_progress=on_progress,
        )
        try:
            winner = search.run()
            report = _report(model, search, winner, options, split)
        finally:
            search.close()
        report = msgspec.structs.replace(
            report,
            notes=(*notes, *search.notes),
            search_cpu_s=round(time.process_time() - started_s, 3),
        )
        _write(report, winner.path, out)
    except EdgewrightError:
        workspace.close()
        if not was_there:
            _fs.remove_tree(out)
        raise
    workspace.close()
    return report


def _opener(
    runtimes: Mapping[str, Runtime], target: CatalogueTarget | None, threads: int
) -> Callable[[Path], Session]:
    if target is not None and FORMAT not in target.formats:
        raise UnavailableError(
            f"target {target.name!r} runs {', '.join(target.formats)}; "
            f"this search makes {FORMAT} variants",
            hint=f"optimise without --target, then `edgewright convert --to {target.formats[0]}`",
        )
    runtime = runtimes.get(FORMAT)
    if runtime is None:
        raise UnavailableError(
            f"no engine for format {FORMAT!r} is installed here",
            hint="pip install onnxruntime",
        )
    return partial(runtime.open, threads=threads)


def _data(
    model: Path,
    calibration: Path,
    evaluation: Path,
    options: OptimizeOptions,
    open_file: Callable[[Path], Session],
) -> tuple[SearchData, dict[str, Array], Split]:
    session = open_file(model)
    try:
        calib = read_calibration(calibration, session.inputs)
        labelled = read_evaluation(evaluation, session.inputs)
        metric = choose_metric(labelled.labels, options.metric)
        output = pick_answer(run_rows(session, labelled.inputs), metric, labelled.labels)
    finally:
        session.close()
    select, confirm, split = divide(labelled, np.random.default_rng(options.seed))
    judge = Judge(metric=metric, output=output)
    return SearchData(select=select, confirm=confirm, judge=judge), calib, split


def _notes(target: CatalogueTarget | None, calib: dict[str, Array], data: SearchData) -> list[str]:
    notes = []
    if shared := sum(shared_rows(calib, part) for part in (data.select, data.confirm)):
        notes.append(
            f"{shared} evaluation samples are calibration samples too: the drop may be flattered"
        )
    if target is not None and target.architecture != platform.machine():
        notes.append(
            f"latencies were measured on this {platform.machine()} machine, not on "
            f"{target.name} ({target.architecture}): measure there before you rely on them"
        )
    if data.confirm.groups is not None and bootstrap_groups(data.confirm) is None:
        notes.append(
            "too few groups for a bound over groups: it holds for new samples of these groups, "
            "not for new groups"
        )
    return notes


def _key(model: Path, calibration: Path, evaluation: Path, options: OptimizeOptions) -> str:
    parts = [path.read_bytes() for path in (model, calibration, evaluation)]
    return key_of(*parts, msgspec.json.encode(options), onnxruntime.__version__.encode())


def _report(
    model: Path, search: Search, winner: Trial, options: OptimizeOptions, split: Split
) -> OptimizeReport:
    rows = search.candidates()
    best = next(row for row in rows if row.verdict == "chosen")
    if winner is search.baseline:
        verdict = (
            f"fp32 stays: none of {len(rows) - 1} variants is better and proves a drop of at most "
            f"{options.max_drop:g} points"
        )
    else:
        verdict = f"{best.recipe}: {best.reason}"
    return OptimizeReport(
        model=model.name,
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        best=best,
        best_file=f"best{winner.path.suffix}",
        candidates=tuple(rows),
        verdict=verdict,
        metric=search.data.judge.metric.name,
        max_drop=options.max_drop,
        objective=options.objective,
        target=options.target,
        seed=options.seed,
        threads=options.threads,
        split=split,
        bound=_bound_text(search.data.confirm),
        machine=describe_machine(),
        search_cpu_s=0.0,
    )


def _bound_text(confirm: Labelled) -> str:
    over = "samples" if bootstrap_groups(confirm) is None else "groups"
    return f"one-sided 95 %, paired bootstrap over {over} of the confirm set"


def _write(report: OptimizeReport, winner: Path, out: Path) -> None:
    """The engine file first: a report never names a file that is not there."""
    for stale in out.glob("best.*"):
        if stale.name != report.best_file:
            _fs.remove_tree(stale)
    content = _fs.read_limited(winner, limit_bytes=2**31 - 1)
    if not content:
        raise InputError(f"{winner} is empty")
    _fs.write_atomic(out / report.best_file, content)
    _fs.write_atomic(out / PAGE_NAME, report_page(report).encode())
    _fs.write_atomic(out / REPORT_NAME, encode_json(report))
