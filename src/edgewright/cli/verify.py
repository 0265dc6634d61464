"""`edgewright verify`: is the candidate still the reference?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.errors import GateError

if TYPE_CHECKING:
    from edgewright.workbench.verify import ParityReport

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("reference", type=_FILE)
@click.argument("candidate", type=_FILE)
@click.option("--data", type=_FILE, required=True, help="Golden inputs (.npz), `y` if labelled.")
@click.option("--max-abs", type=NumberRange(min=0), help="Largest absolute difference tolerated.")
@click.option("--max-drop", type=NumberRange(min=0), help="Points of the metric that may be lost.")
@click.option("--metric", help="accuracy, rmse or miou; the labels decide if absent.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the random edge inputs.",
)
@json_option
def verify(
    *,
    reference: Path,
    candidate: Path,
    data: Path,
    max_abs: float | None,
    max_drop: float | None,
    metric: str | None,
    seed: int,
    as_json: bool,
) -> int:
    """Compare CANDIDATE to REFERENCE on golden data and on edge inputs.

    Both are engine files or bundles. On failure the exit code is 7 and the first diverging node is
    named, inside ONNX, OpenVINO and LiteRT files. Files of lower precision get wider tolerances,
    unless told otherwise.
    """
    from edgewright.chain.parity import ParityRequest, verify_files

    request = ParityRequest(
        reference=reference,
        candidate=candidate,
        data=data,
        max_abs=max_abs,
        max_drop=max_drop,
        metric=metric,
        seed=seed,
    )
    report = verify_files(request)
    if as_json:
        print_json("parity", report)
    else:
        _show(report)
    return 0 if report.ok else GateError.exit_code


def _show(report: "ParityReport") -> None:
    rows = [
        (
            case.name,
            output.name,
            case.rows,
            f"{output.max_abs:.3g}",
            f"{output.max_rel:.3g}",
            f"{output.cosine:.6f}",
            f"{output.norm_ratio:.4f}",
            "ok" if output.ok else "differs",
        )
        for case in report.cases
        for output in case.outputs
    ]
    columns = ("case", "output", "rows", "max abs", "max rel", "cosine", "norm ratio", "verdict")
    print_table("", columns, rows)
    if report.metric:
        change = report.metric
        say(f"{change.name}: {change.reference:.2f} -> {change.candidate:.2f} points")
    for note in report.notes:
        say(f"note: {note}")
    for reason in report.reasons:
        say(f"reason: {reason}")
    if report.divergence:
        say(report.divergence.text)
    say("parity holds" if report.ok else "parity does not hold")
