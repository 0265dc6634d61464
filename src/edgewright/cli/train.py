"""`edgewright train`."""

import sys
from pathlib import Path

import click

from edgewright.cli._output import calm_threads, json_option, print_json
from edgewright.cli._progress import progress_bar
from edgewright.cli._ray import ray_address_option
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
@click.option("--seeds", type=click.IntRange(min=1), help="So many seeds, for the spread.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train.")
@click.option("--nproc", type=click.IntRange(min=1), default=1, help="Processes.  [1]")
@click.option(
    "--engine",
    type=click.Choice(["torchrun", "ray"]),
    default="torchrun",
    help="What starts the processes.  [torchrun]",
)
@ray_address_option
@click.option(
    "--mirror",
    default="",
    metavar="PATH|s3://BUCKET/PREFIX",
    help="A second place for checkpoints; --resume goes on from there too.",
)
@click.option("--tensorboard", is_flag=True, help="Write events to reports/tensorboard.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@json_option
def train(
    *,
    folder: Path,
    resume: bool,
    seed: int | None,
    seeds: int | None,
    device: str | None,
    nproc: int,
    engine: str,
    ray_address: str,
    mirror: str,
    tensorboard: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train the project's model, and test it on people that it never saw.

    Reads the recordings first if that was not done. Without --resume it begins anew. While it runs,
    reports/train-live.html shows how far it is; at the end reports/train.html holds the report.
    """
    calm_threads()
    from edgewright.chain.project import RunOrder, run_project
    from edgewright.workbench.train.job import Means

    chosen = {"train.seed": seed, "train.seeds": seeds, "train.device": device}
    order = RunOrder(
        folder=folder,
        start="" if resume else "train",
        stop="train",
        overrides=(
            *overrides,
            *(f"{key}={value}" for key, value in chosen.items() if value is not None),
        ),
        command=" ".join(["edgewright", *sys.argv[1:]]),
        means=Means(
            processes=nproc,
            engine=engine,
            cluster=ray_address,
            mirror=mirror,
            resume=resume,
            tensorboard=tensorboard,
        ),
    )
    with progress_bar() as bar:
        summary = run_project(order, watch=lambda event: show_stage(bar, event))
    if as_json:
        print_json("run", summary)
    else:
        print_summary(summary)
