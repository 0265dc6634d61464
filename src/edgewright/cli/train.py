"""`edgewright train`."""

import sys
from pathlib import Path

import click

from edgewright.cli._output import calm_threads, json_option, print_json
from edgewright.cli._progress import progress_bar
from edgewright.cli.project import print_summary, show_stage


@click.command()
@click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The project's folder.",
)
@click.option("--resume", is_flag=True, help="Go on where a stopped training was.")
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the project's.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train.")
@click.option("--nproc", type=click.IntRange(min=1), default=1, help="Processes.  [1]")
@json_option
def train(
    *,
    folder: Path,
    resume: bool,
    seed: int | None,
    device: str | None,
    nproc: int,
    as_json: bool,
) -> None:
    """Train the project's model, and test it on people that it never saw.

    Reads the recordings first if that was not done. Without --resume it begins anew.
    """
    calm_threads()
    from edgewright.chain.project import RunOrder, run_project
    from edgewright.errors import UnavailableError

    if nproc > 1:
        raise UnavailableError(
            f"training in {nproc} processes is not built yet", hint="use one: --nproc 1"
        )
    overrides = [f"train.seed={seed}"] if seed is not None else []
    overrides += [f"train.device={device}"] if device else []
    order = RunOrder(
        folder=folder,
        start="" if resume else "train",
        stop="train",
        overrides=tuple(overrides),
        command=" ".join(["edgewright", *sys.argv[1:]]),
    )
    with progress_bar() as bar:
        summary = run_project(order, watch=lambda event: show_stage(bar, event))
    if as_json:
        print_json("run", summary)
    else:
        print_summary(summary)
