"""What a finished search leaves in the output folder: the engine file, the report, its page."""

import hashlib
from pathlib import Path

from edgewright import _fs
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.measure import describe_machine
from edgewright.runtimes.base import Array
from edgewright.runtimes.openvino_file import read_parts
from edgewright.workbench.optimize.catalogue import CatalogueTarget
from edgewright.workbench.optimize.evaluation import SearchData
from edgewright.workbench.optimize.labelled import Labelled, bootstrap_groups, shared_rows
from edgewright.workbench.optimize.options import OptimizeOptions
from edgewright.workbench.optimize.page import report_page
from edgewright.workbench.optimize.place import Place
from edgewright.workbench.optimize.report import OptimizeReport, Split
from edgewright.workbench.optimize.search import Search
from edgewright.workbench.optimize.trial import Trial

REPORT_NAME = "report.json"
PAGE_NAME = "report.html"


def notes_on(
    target: CatalogueTarget | None, calib: dict[str, Array], data: SearchData, place: Place
) -> list[str]:
    """What a reader of the figures should know."""
    notes = []
    if shared := sum(shared_rows(calib, part) for part in (data.select, data.confirm)):
        notes.append(
            f"{shared} evaluation samples are calibration samples too: the drop may be flattered"
        )
    where, architecture = place.name or "this machine", place.machine.architecture
    if target is not None and target.architecture != architecture:
        notes.append(
            f"latencies were measured on {where} ({architecture}), not on {target.name} "
            f"({target.architecture}): measure there (--measure-on) before you rely on them"
        )
    if place.name:
        notes.append(
            f"latency, memory and energy: measured on {where}: {place.machine.text}; accuracy, and "
            "what edge inputs do, were judged on this machine"
        )
    if data.confirm.groups is not None and bootstrap_groups(data.confirm) is None:
        notes.append(
            "too few groups for a bound over groups: it holds for new samples of these groups, "
            "not for new groups"
        )
    return notes


def report_of(
    model: Path,
    search: Search,
    winner: Trial,
    options: OptimizeOptions,
    split: Split,
) -> OptimizeReport:
    """All candidates and the chosen one; what the search cost is not known yet."""
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
        metric=search.scales.data.judge.metric.name,
        max_drop=options.max_drop,
        objective=options.objective,
        target=options.target,
        seed=options.seed,
        threads=options.threads,
        split=split,
        bound=_bound_text(search.scales.data.confirm),
        machine=describe_machine(),
        search_cpu_s=0.0,
    )


def write_report(report: OptimizeReport, winner: Path, out: Path) -> None:
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


def _bound_text(confirm: Labelled) -> str:
    over = "samples" if bootstrap_groups(confirm) is None else "groups"
    return f"one-sided 95 %, paired bootstrap over {over} of the confirm set"


def _best_names(path: Path) -> tuple[str, str]:
    """The engine file's name, and its weights' where an engine wants two files."""
    return ("best.xml", "best.bin") if path.suffix == ".zip" else (f"best{path.suffix}", "")
