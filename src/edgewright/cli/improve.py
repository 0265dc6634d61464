"""`edgewright improve`: what to label next."""

from pathlib import Path
from typing import Literal

import click

from edgewright.cli._output import json_option, print_json, print_table

_FILE = click.Path(path_type=Path)


@click.group()
def improve() -> None:
    """Pick samples that are worth a label."""


@improve.command()
@click.argument("pool", type=_FILE)
@click.option("--budget", type=click.IntRange(min=1), required=True, help="How many to pick.")
@click.option(
    "--by",
    type=click.Choice(["margin", "confidence", "entropy"]),
    default="margin",
    show_default=True,
    help="How doubt is measured.",
)
@json_option
def pick(
    *,
    pool: Path,
    budget: int,
    by: Literal["margin", "confidence", "entropy"],
    as_json: bool,
) -> None:
    """Pick samples of POOL: those the model doubts most, no two alike.

    POOL is an npz with `probabilities` or `logits` and, for diversity, `embeddings`; row i of each
    belongs to sample i.
    """
    from edgewright.workbench.improve import pick as choose
    from edgewright.workbench.improve import read_pool

    samples = read_pool(pool)
    picks = choose(samples.scores, samples.embeddings, budget, uncertainty=by)
    if as_json:
        print_json("picks", {"picks": picks})
        return
    rows = [(p.index, f"{p.uncertainty:.3f}", f"{p.distance:.3f}") for p in picks]
    print_table("", ("sample", "doubt", "distance"), rows)
