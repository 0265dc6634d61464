"""`optimize`: from a model and two npz files to the best variant and a report of all of them."""

import hashlib
import platform
import resource
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import onnxruntime

from edgewright import _fs
from edgewright.contract import encode_json
from edgewright.errors import EdgewrightError, InputError, UnavailableError
from edgewright.measure import describe_machine
from edgewright.runtimes import Runtime, Session
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.runtimes.openvino_file import read_parts
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
from edgewright.workbench.optimize.maker import Maker
from edgewright.workbench.optimize.options import OptimizeOptions, Progress
from edgewright.workbench.optimize.page import report_page
from edgewright.workbench.optimize.report import Candidate, OptimizeReport, Split
from edgewright.workbench.optimize.search import SEARCH_STEPS, Engines, Search, SearchData
from edgewright.workbench.optimize.space import Compress, Space, makers_for, makers_of
from edgewright.workbench.optimize.trial import Judge, Trial, like_the_model
from edgewright.workbench.optimize.variants import (
    FORMATS,
    ProviderFp32,
    VariantRecipe,
    engine_of,
)
from edgewright.workbench.optimize.workspace import Workspace, key_of
from edgewright.workbench.verify import choose_metric, pick_answer, run_rows

REPORT_NAME = "report.json"
PAGE_NAME = "report.html"
FORMAT = "onnx"
"""What the model itself is, and the engine that asks it."""

_TEACHING_STEPS = 30.0
"""Teaching takes this many times as long as a step of the search, for the bar."""

Tensors = tuple[tuple[EngineTensor, ...], tuple[EngineTensor, ...]]


class Weigh(Protocol):
    """Measures the memory that one file needs with one engine."""

    def __call__(
        self, engine: str, path: Path, *, inputs: Mapping[str, Array], threads: int
    ) -> int: ...


def optimize(
    model: Path,
    calibration: Path,
    evaluation: Path,
    options: OptimizeOptions,
    out: Path,
    *,
    runtimes: Mapping[str, Runtime | UnavailableError],
    weigh: Weigh | None = None,
    compress: Compress | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> OptimizeReport:
    """Write `out/best.*`, `out/report.json` and `out/report.html`.

    `runtimes` are engines by format, or why there is none; `weigh` measures the memory that a file
    needs in a process of its own; `compress` makes smaller models where the training
    recipe is at hand. A search that was killed goes on where it stopped when it is
    called again with the same inputs.

    Raises:
        InputError: the model or the data is wrong, or the target is unknown.
        UnavailableError: no engine here makes variants for the target.
    """
    target = find_target(options.target, all_targets()) if options.target else None
    source = read_onnx(model, takes_in=False)
    onnx_engine = _engine_of_the_model(runtimes)
    open_model = partial(onnx_engine.open, threads=options.threads)
    data, calib, split, tensors = _data(model, calibration, evaluation, options, open_model)
    space = Space(
        source=source,
        calibration=calib,
        open_model=open_model,
        points=partial(_points, data),
        max_drop=options.max_drop,
    )
    formats = _formats(runtimes, target, options)
    makers, absent = makers_for(formats, runtimes, space)
    open_file = _opener(runtimes, options.threads, *tensors)
    notes = _notes(target, calib, data)
    workspace = Workspace(out, _key(model, calibration, evaluation, options))
    was_there = out.exists()
    workspace.open()
    started_s = _cpu_s()
    try:
        chained, refused, on_progress = _compressed(
            compress, space, workspace, (formats, runtimes), on_progress
        )
        search = Search(
            Engines(
                makers=makers,
                open_file=open_file,
                more=_providers(runtimes, target) if FORMAT in makers else (),
                chained=chained,
                weigh=_weigher(weigh, data, options.threads),
            ),
            data,
            options,
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
            candidates=(*report.candidates, *refused, *absent),
            notes=(*notes, *search.notes),
            search_cpu_s=round(_cpu_s() - started_s, 3),
        )
        _write(report, winner.path, out)
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
    where: tuple[tuple[str, ...], Mapping[str, Runtime | UnavailableError]],
    on_progress: Callable[[Progress], None],
) -> tuple[dict[str, dict[str, Maker]], list[Candidate], Callable[[Progress], None]]:
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


def _engine_of_the_model(runtimes: Mapping[str, Runtime | UnavailableError]) -> Runtime:
    """What asks the model itself, whatever is searched."""
    runtime = runtimes.get(FORMAT)
    if isinstance(runtime, UnavailableError):
        raise runtime
    if runtime is None:
        raise UnavailableError(
            f"no engine for format {FORMAT!r} is installed here",
            hint="pip install onnxruntime",
        )
    return runtime


def _formats(
    runtimes: Mapping[str, Runtime | UnavailableError],
    target: CatalogueTarget | None,
    options: OptimizeOptions,
) -> tuple[str, ...]:
    """What is searched: what was asked for, what the target runs.

    Raises:
        UnavailableError: this target runs nothing that can be searched.
    """
    given = options.formats or tuple(name for name in FORMATS if name in runtimes)
    wanted = tuple(name for name in given if target is None or name in target.formats)
    if target is not None and not wanted:
        raise UnavailableError(
            f"target {target.name!r} runs {', '.join(target.formats)}; "
            f"this search makes {', '.join(given)} variants",
            hint=f"optimise without --target, then `edgewright convert --to {target.formats[0]}`",
        )
    return wanted


def _opener(
    runtimes: Mapping[str, Runtime | UnavailableError],
    threads: int,
    inputs: tuple[EngineTensor, ...],
    outputs: tuple[EngineTensor, ...],
) -> Callable[[str, Path], Session]:
    def open_file(engine: str, path: Path) -> Session:
        runtime = runtimes[engine]
        if isinstance(runtime, UnavailableError):
            raise runtime
        session = runtime.open(path, threads=threads)
        return session if engine == FORMAT else like_the_model(session, inputs, outputs)

    return open_file


def _providers(
    runtimes: Mapping[str, Runtime | UnavailableError], target: CatalogueTarget | None
) -> tuple[VariantRecipe, ...]:
    """The float file on a GPU, where one was handed in and the target is this machine."""
    recipes = (ProviderFp32(provider="cuda"), ProviderFp32(provider="tensorrt"))
    return tuple(one for one in recipes if target is None and engine_of(one) in runtimes)


def _points(data: SearchData, answer: Callable[[Mapping[str, Array]], dict[str, Array]]) -> float:
    """The metric on the select set."""
    judge, select = data.judge, data.select
    answers = answer(select.inputs)[judge.output]
    return judge.metric.value(judge.metric.sample_scores(answers, select.labels))


def _weigher(
    weigh: Weigh | None, data: SearchData, threads: int
) -> Callable[[str, Path], int] | None:
    if weigh is None:
        return None
    one_row = {name: array[:1] for name, array in data.select.inputs.items()}
    return partial(weigh, inputs=one_row, threads=threads)


def _cpu_s() -> float:
    """This process and those it has started and ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _data(
    model: Path,
    calibration: Path,
    evaluation: Path,
    options: OptimizeOptions,
    open_file: Callable[[Path], Session],
) -> tuple[SearchData, dict[str, Array], Split, Tensors]:
    session = open_file(model)
    tensors = (session.inputs, session.outputs)
    try:
        calib = read_calibration(calibration, session.inputs)
        labelled = read_evaluation(evaluation, session.inputs)
        metric = choose_metric(labelled.labels, options.metric)
        output = pick_answer(run_rows(session, labelled.inputs), metric, labelled.labels)
    finally:
        session.close()
    select, confirm, split = divide(labelled, np.random.default_rng(options.seed))
    judge = Judge(metric=metric, output=output)
    return SearchData(select=select, confirm=confirm, judge=judge), calib, split, tensors


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
    model: Path,
    search: Search,
    winner: Trial,
    options: OptimizeOptions,
    split: Split,
) -> OptimizeReport:
    rows = search.candidates()
    best = next(row for row in rows if row.verdict == "chosen")
    if winner is search.baseline:
        verdict = (
            f"fp32 stays: none of {len(rows) - 1} variants is better and proves a drop of at most "
            f"{options.max_drop:g} points"
        )
    else:
        verdict = f"{best.format} {best.recipe}: {best.reason}"
    file, weights = _best_names(winner.path)
    return OptimizeReport(
        model=model.name,
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        best=best,
        best_file=file,
        weights_file=weights,
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


def _best_names(path: Path) -> tuple[str, str]:
    """The engine file's name, and its weights' where an engine wants two files."""
    return ("best.xml", "best.bin") if path.suffix == ".zip" else (f"best{path.suffix}", "")


def _write(report: OptimizeReport, winner: Path, out: Path) -> None:
    """The engine file first: a report never names a file that is not there."""
    for stale in out.glob("best.*"):
        if stale.name not in {report.best_file, report.weights_file}:
            _fs.remove_tree(stale)
    if report.weights_file:
        graph, weights = read_parts(winner)
        _fs.write_atomic(out / report.weights_file, weights)
        _fs.write_atomic(out / report.best_file, graph)
    else:
        content = _fs.read_limited(winner, limit_bytes=2**31 - 1)
        if not content:
            raise InputError(f"{winner} is empty")
        _fs.write_atomic(out / report.best_file, content)
    _fs.write_atomic(out / PAGE_NAME, report_page(report).encode())
    _fs.write_atomic(out / REPORT_NAME, encode_json(report))
