"""`edgewright improve`: what to label next, the labels, and a model that learnt them."""

from pathlib import Path
from typing import Literal

import click

from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import calm_threads, json_option, print_json, print_table

_FILE = click.Path(path_type=Path, dir_okay=False)
_project = click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The project's folder.",
)


@click.group()
def improve() -> None:
    """Pick samples worth a label, label them, and judge a model that learnt them."""


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
@click.option("--out", type=_FILE, help="Write a sheet with room for labels (CSV).")
@json_option
def pick(
    *,
    pool: Path,
    budget: int,
    by: Literal["margin", "confidence", "entropy"],
    out: Path | None,
    as_json: bool,
) -> None:
    """Pick samples of POOL: those the model doubts most, no two alike.

    POOL is an npz with `probabilities` or `logits` and, for diversity, `embeddings` or `latent`;
    row i of each belongs to sample i. `edgewright predict --out` writes such a file.
    """
    from edgewright import _fs
    from edgewright.workbench.improve import pick as choose
    from edgewright.workbench.improve import read_pool, write_sheet

    samples = read_pool(pool)
    picks = choose(samples.scores, samples.embeddings, budget, uncertainty=by)
    if out:
        _fs.write_atomic(out, write_sheet(picks).encode())
    if as_json:
        print_json("picks", {"picks": picks})
        return
    rows = [(p.index, f"{p.uncertainty:.3f}", f"{p.distance:.3f}") for p in picks]
    print_table("", ("sample", "doubt", "distance"), rows)
    if out:
        click.echo(f"fill in the labels in {out}, then: edgewright improve label")


@improve.command()
@click.argument("windows", type=_FILE)
@click.argument("sheet", type=_FILE)
@_project
@click.option("--out", type=_FILE, required=True, help="The archive to train on (npz).")
@json_option
def label(*, windows: Path, sheet: Path, folder: Path, out: Path, as_json: bool) -> None:
    """Join WINDOWS and the SHEET that somebody filled in to an archive of labelled samples.

    WINDOWS is an npz with what the model was asked (`x`) and, where known, whose each window is
    (`subject`); the sheet is the one of `improve pick --out`. Labels are those of the project's
    model; lines without one are left out.
    """
    calm_threads()
    from edgewright.chain.improving import label_samples

    done = label_samples(folder, windows, sheet, out)
    if as_json:
        print_json("labelled", done)
        return
    counts = ", ".join(f"{count} {name}" for name, count in done.labels.items())
    click.echo(f"{done.archive}: {done.samples} samples ({counts})")


@improve.command()
@_project
@click.option(
    "--add",
    "added",
    type=_FILE,
    multiple=True,
    required=True,
    help="An archive of `improve label`; several may be given.",
)
@click.option(
    "--max-drop",
    type=NumberRange(min=0),
    default=0.5,
    show_default=True,
    help="Points of accuracy that the challenger may lose, at the bound.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@json_option
def retrain(
    *,
    folder: Path,
    added: tuple[Path, ...],
    max_drop: float,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a challenger with labelled samples and judge it beside the project's model.

    Both are asked the project's own test, which neither learnt from; the interval is over people
    and is wider the more challengers that test has judged. A challenger that is not shown to lose
    at most --max-drop ends with exit code 7, and nothing of the project changes either way.
    """
    calm_threads()
    from edgewright.chain.improving import retrain as train_challenger
    from edgewright.chain.project import RunOrder
    from edgewright.cli._progress import progress_bar
    from edgewright.cli.project import show_stage
    from edgewright.errors import GateError

    order = RunOrder(
        folder=folder, stop="train", overrides=overrides, command="edgewright improve retrain"
    )
    with progress_bar() as bar:
        done = train_challenger(
            order, added, max_drop=max_drop, watch=lambda event: show_stage(bar, event)
        )
    found = done.challenge
    if as_json:
        print_json("retrained", done)
    else:
        click.echo(
            f"champion {found.champion:.2f}, challenger {found.challenger:.2f}: "
            f"gain {found.gain.text('points')} on {found.rows} rows of {found.groups} groups; "
            f"{found.outcome}"
        )
    if not found.is_accepted:
        raise GateError(
            f"the challenger is {found.outcome}: the points it may have lost",
            measured=round(-(found.gain.low or 0.0), 3),
            limit=max_drop,
            hint="label more samples, or test on more people; the champion stays",
        )
    if not as_json:
        names = ", ".join(f'"{path}"' for path in added)
        click.echo(f"to take it: [recipe] added = [{names}] in edgewright.toml, `edgewright run`")
