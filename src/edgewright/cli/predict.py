"""`edgewright predict`: a file of requests through a model."""

import sys
from pathlib import Path

import click

from edgewright.cli._numbers import Number
from edgewright.cli._output import say

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_FILE)
@click.argument("requests", type=_FILE)
@click.option(
    "--out", type=_FILE, help="Answers: .npz or .jsonl; JSON lines to stdout if left out."
)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--time-column", default="", help="For windows: the column with the time in seconds.")
@click.option(
    "--source-rate-hz", type=Number(), help="For windows: rate of rows that carry no time."
)
@click.option("--rate-hz", type=Number(), help="The model's rate, if its contract does not say it.")
@click.option("--hop", type=click.IntRange(min=1), help="Samples between windows; half a window.")
@click.option("--max-gap-s", type=Number(), default=0.25, show_default=True)
def predict(
    *,
    model: Path,
    requests: Path,
    out: Path | None,
    batch: int,
    time_column: str,
    source_rate_hz: float | None,
    rate_hz: float | None,
    hop: int | None,
    max_gap_s: float,
) -> None:
    """Run every row of a file through a model.

    REQUESTS is an .npz with one array per input of the contract (rows are samples), or a .csv with
    a header: rows for a model that takes rows, samples in time for one that takes windows. One row
    out of contract refuses the file; nothing is written then.
    """
    from edgewright.chain.prediction import PredictOrder, json_rows, predict_file
    from edgewright.clock import SystemClock
    from edgewright.contract.decoding import convert
    from edgewright.device.streams import Wishes

    wishes = {"hop": hop, "rate_hz": rate_hz, "max_gap_s": max_gap_s}
    order = PredictOrder(
        model=model,
        requests=requests,
        out=out,
        batch=batch,
        time_column=time_column,
        source_rate_hz=source_rate_hz,
        wishes=convert(wishes, Wishes, source="options"),
    )
    answers = predict_file(order, clock=SystemClock())
    if out is None:
        sys.stdout.buffer.write(json_rows(answers))
        sys.stdout.flush()
    say(f"{len(next(iter(answers.values())))} rows answered" + (f", {out}" if out else ""))
