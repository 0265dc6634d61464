"""`edgewright tune`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import calm_threads, json_option, print_json, print_table
from edgewright.cli._progress import progress_bar
from edgewright.cli._ray import ray_address_option

if TYPE_CHECKING:
    from edgewright.workbench.train.tuning import TuneReport

_SHOWN = 12


@click.command()
@click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The project's folder.",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, help="Until so many.  [20]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes.  [1]")
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    help="Who tries; ray: Ray Tune, on all machines of a cluster (extra ray).  [processes]",
)
@ray_address_option
@click.option("--study", default="default", help="Its name; the same one goes on.  [default]")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the search.  [0]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@json_option
def tune(
    folder: Path,
    *,
    trials: int,
    jobs: int,
    engine: str,
    ray_address: str,
    study: str,
    seed: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Search the project's options for better ones, on the people watched while training.

    Searches what [tune.space] names, else architecture, optimizer and rates. Stopped at any moment,
    it goes on where it was. Test people are never looked at.
    """
    calm_threads()
    from edgewright.chain.tuning import TuneOrder, settings
    from edgewright.chain.tuning import tune as search

    order = TuneOrder(
        folder=str(folder),
        trials=trials,
        jobs=jobs,
        study=study,
        seed=seed,
        overrides=overrides,
        engine=engine,
        cluster=ray_address,
    )
    with progress_bar() as bar:
        bar.begin("tune")
        report = search(order, tell=lambda text, share: bar.move(share, text))
        bar.end(f"{len(report.trials)} trials")
    if as_json:
        print_json("tune", report)
        return
    _print(report, settings(report))


def _print(report: "TuneReport", lines: list[str]) -> None:
    whole = [t for t in report.trials if t.value is not None and t.state == "complete"]
    ranked = sorted(whole, key=lambda t: t.value or 0.0, reverse=report.metric not in _LOW)
    print_table(
        f"Best trials by {report.metric} on the people watched",
        ("trial", report.metric, "parameters", "seconds", "options"),
        [
            (
                t.number,
                f"{t.value:.4f}",
                t.parameters,
                f"{t.seconds:.0f}",
                " ".join(f"{key.partition('.')[2]}={_short(v)}" for key, v in t.options.items()),
            )
            for t in ranked[:_SHOWN]
        ],
    )
    stopped = len(report.trials) - len(whole)
    click.echo(f"{len(whole)} trials ran to the end, {stopped} were stopped early or failed.")
    if lines:
        click.echo("use the best: edgewright train " + " ".join(f"--set {line}" for line in lines))


_LOW = frozenset({"mae", "rmse", "loss", "calibration_error"})


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
