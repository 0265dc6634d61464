"""`edgewright init` and `edgewright run`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import calm_threads, json_option, print_json, print_table, say
from edgewright.cli._progress import Bar, progress_bar

if TYPE_CHECKING:
    from edgewright.chain.project import RunSummary
    from edgewright.workbench.pipeline.stage import StageEvent

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--recipe", required=True, help="The workload: har, onnx, svg-quality, ...")
@click.option("--data", default="", help="Path of your data; the recipe's own set if absent.")
@click.option("--model", default="", help="A model trained elsewhere, for recipe onnx.")
def init(folder: Path, *, recipe: str, data: str, model: str) -> None:
    """Write a new project that a person can read.

    Recipe onnx brings a model of your own: .onnx, .tflite, TorchScript, .pt2, Keras, a SavedModel,
    a Hugging Face snapshot or an Edge Impulse export, with sample inputs in an .npz as --data.
    """
    from edgewright.chain.new_project import InitOrder, init_project

    order = InitOrder(
        folder=folder,
        recipe=recipe,
        data=Path(data).resolve() if data else None,
        model=Path(model).resolve() if model else None,
    )
    for path in init_project(order):
        click.echo(folder / path)
    say(f"now: edgewright run --project {shlex.quote(str(folder))}")


@click.command()
@click.option("--project", "folder", type=_FOLDER, default=Path(), help="The project's folder.")
@click.option("--from", "start", default="", metavar="STAGE", help="Run anew from this stage on.")
@click.option("--to", "stop", default="", metavar="STAGE", help="Stop after this stage.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@json_option
def run(folder: Path, *, start: str, stop: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Walk the project's stages, skipping what has not changed.

    Stages: data train optimize convert verify package. Reports go to reports/, the bundle to
    models/NAME/model_files/.
    """
    calm_threads()
    from edgewright.chain.project import RunOrder, run_project

    order = RunOrder(
        folder=folder,
        start=start,
        stop=stop,
        overrides=overrides,
        command=" ".join(["edgewright", *sys.argv[1:]]),
    )
    with progress_bar() as bar:
        summary = run_project(order, watch=lambda event: show_stage(bar, event))
    if as_json:
        print_json("run", summary)
    else:
        print_summary(summary)


def show_stage(bar: Bar, event: "StageEvent") -> None:
    """One event of the walk, on the bar."""
    match event.state:
        case "running":
            bar.begin(event.stage)
        case "progress":
            bar.move(event.fraction, event.text)
        case "done":
            bar.end(f"done in {event.seconds:.1f} s")
        case "unchanged":
            bar.begin(event.stage)
            bar.end("unchanged")


def print_summary(summary: "RunSummary") -> None:
    """The walk as tables."""
    rows = [
        (stage.stage, key.replace("_", " "), _fact(value))
        for stage in summary.stages
        for key, value in stage.facts.items()
    ]
    print_table(f"Project {summary.project}", ("stage", "what", "value"), rows)
    print_table(
        "Time budgets",
        ("what", "seconds", "limit", "kept"),
        [
            (b.name, f"{b.seconds:.1f}", f"{b.limit_s:.0f}", "yes" if b.is_kept else "NO")
            for b in summary.budgets
        ],
    )
    if summary.bundle:
        click.echo(f"bundle: {summary.bundle}")


def _fact(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return f"{text[:16]}..." if len(text) == 64 else text
