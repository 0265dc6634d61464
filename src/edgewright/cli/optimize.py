"""`edgewright optimize`: the best variant of a model, proven on held-out data."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgewright.cli._fleet import Anywhere
from edgewright.cli._measure_on import measure_on_options, place_of
from edgewright.cli._numbers import Number
from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.cli._progress import progress_bar

if TYPE_CHECKING:
    from edgewright.workbench.optimize import Candidate, OptimizeReport

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_FILE)
@click.option("--calib", type=_FILE, help="Typical inputs (.npz), for ranges.")
@click.option("--eval", "evaluation", type=_FILE, help="Inputs, y, group (.npz).")
@click.option("--max-drop", type=Number(), required=True, help="Points the metric may lose.")
@click.option("--metric", help="accuracy, rmse or miou; the labels decide if absent.")
@click.option("--target", help="A kind of device, see `edgewright targets list`.")
@click.option(
    "--target-file",
    "target_files",
    type=_FILE,
    multiple=True,
    help="TOML with targets of your own, for --target.",
)
@click.option(
    "--objective",
    type=click.Choice(["latency", "size", "energy"]),
    default="latency",
    show_default=True,
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of splits and rounds."
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--formats",
    help="Of onnx, openvino, litert, executorch: which to search; all that can be if absent.",
)
@click.option(
    "--chain",
    "chains",
    multiple=True,
    help="Compression of a run: steps prune=SHARE, dilate, distil[=EPOCHS], qat[=EPOCHS], "
    "sparse=SHARE, cluster=VALUES, joined by commas; may be repeated, `none` for no chain. "
    "[default for a run: prune=0.5,distil,qat,cluster=32]",
)
@click.option(
    "--data", type=_FILE, help="Project of a run; the one it lies in, or here, if absent."
)
@measure_on_options
@click.option("--exhaustive", is_flag=True, help="Measure everything in full; slow.")
@click.option("--out", type=_FILE, required=True, help="Folder for the best file and the report.")
@json_option
def optimize(  # one command line, one parameter for each flag
    *,
    model: Path,
    calib: Path | None,
    evaluation: Path | None,
    max_drop: float,
    metric: str | None,
    target: str | None,
    target_files: tuple[Path, ...],
    objective: Literal["latency", "size", "energy"],
    seed: int,
    threads: int,
    formats: str | None,
    chains: tuple[str, ...],
    data: Path | None,
    measure_on: str | None,
    measure_key: Path | None,
    place: Anywhere,
    exhaustive: bool,
    out: Path,
    as_json: bool,
    **machine: Any,
) -> None:
    """Find the best variant of MODEL that keeps its accuracy budget.

    MODEL is an ONNX file, or the folder of a finished run: then the training recipe also prunes,
    distils and trains on integers, and people that the run did not see judge. An ONNX file needs
    --calib and --eval.

    Each npz holds one array per model input, rows are samples; --eval also holds `y` and, if known,
    `group` (the person or site of each sample). The 95 % bound on the drop comes from samples that
    selected nothing. A search that was stopped goes on when it is called again.

    With --measure-on the variants are copied to that machine and its own edgewright measures them
    beside fp32; accuracy is judged here. What it cannot run is rejected with its reason. An agent
    (agent:NAME) takes only what is signed by a key that its own settings name for that.
    """
    from edgewright.chain.optimizing import OptimizeOrder, optimize_here
    from edgewright.workbench.optimize import OptimizeOptions

    options = OptimizeOptions(
        max_drop=max_drop,
        metric=metric,
        target=target,
        objective=objective,
        seed=seed,
        threads=threads,
        exhaustive=exhaustive,
        chains=_chains(model, chains),
        formats=tuple(name for name in (formats or "").split(",") if name),
    )
    measured = None
    if measure_on is not None:
        measured = place_of(
            measure_on, place, key=measure_key, threads=threads, seed=seed, **machine
        )
    with progress_bar() as bar:
        bar.begin("optimize")
        report = optimize_here(
            OptimizeOrder(
                model=model,
                calibration=calib,
                evaluation=evaluation,
                data=data,
                target_files=target_files,
                options=options,
                out=out,
            ),
            place=measured,
            on_progress=lambda at: bar.move(at.done / at.total, at.text),
        )
    if as_json:
        print_json("optimize-report", report)
        return
    _show(report, out)


def _chains(model: Path, given: tuple[str, ...]) -> tuple[str, ...]:
    from edgewright.workbench.optimize.chain import DEFAULT_CHAINS

    if not given:
        return DEFAULT_CHAINS if model.is_dir() else ()
    return tuple(chain for chain in given if chain != "none")


def _show(report: "OptimizeReport", out: Path) -> None:
    with_energy = report.objective == "energy"
    columns = (
        *("format", "variant", "kB", "MB", report.metric, "drop", "bound", "p50/fp32"),
        *(["energy/fp32"] * with_energy),
        *("verdict", "why"),
    )
    rows = [_row(candidate, with_energy=with_energy) for candidate in report.candidates]
    print_table("", columns, rows)
    say(report.verdict)
    for note in report.notes:
        say(f"note: {note}")
    say(f"{out / report.best_file}, {out / 'report.html'}, {out / 'report.json'}")


def _row(candidate: "Candidate", *, with_energy: bool) -> tuple[str, ...]:
    size = candidate.size_bytes
    memory = candidate.memory_bytes
    return (
        candidate.format,
        candidate.recipe,
        "" if size is None else f"{size / 1000:.1f}",
        "" if memory is None else f"{memory / 1e6:.0f}",
        _number(candidate.metric, 2),
        _number(candidate.metric_drop, 2),
        _number(candidate.metric_drop_upper, 2),
        _number(candidate.latency_ratio, 3),
        *([_number(candidate.energy_ratio, 3)] * with_energy),
        candidate.verdict,
        candidate.reason,
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
