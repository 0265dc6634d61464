"""`edgewright monitor`: is what sensors say still what the model was trained on?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.device.drift.report import DriftReport

_FILE = click.Path(path_type=Path)


@click.group()
def monitor() -> None:
    """Watch streams for drift and name its cause."""


@monitor.command()
@click.option(
    "--reference", type=_FILE, required=True, help="Training windows (.npz), or a saved reference."
)
@click.option(
    "--stream", type=_FILE, required=True, help="Windows to judge (.npz), in their order."
)
@click.option(
    "--length",
    type=click.IntRange(min=4),
    default=100,
    show_default=True,
    help="Samples in a window, where a file holds samples [n, channels].",
)
@json_option
def drift(*, reference: Path, stream: Path, length: int, as_json: bool) -> None:
    """Say for each channel whether it drifted, why, and on what evidence.

    The files hold `windows` [rows, length, channels] (or samples `X` [n, channels]); `subject` or
    `group` says whom rows are from, `channels` names the columns. Limits come from how far the
    reference's own people stray from each other. Exit code 0 either way; the verdict is printed.
    """
    from edgewright.device.drift.files import drift_report

    report = drift_report(reference, stream, length=length)
    if as_json:
        print_json("drift", report)
    else:
        _print(report)


@monitor.command()
@click.argument("windows", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="The reference file to write.")
@click.option("--length", type=click.IntRange(min=4), default=100, show_default=True)
def reference(windows: Path, out: Path, *, length: int) -> None:
    """Build a drift reference from training windows, small enough for a device."""
    from edgewright.device.drift.files import load_reference, save_reference

    built = load_reference(windows, length=length)
    save_reference(built, out)
    say(
        f"{out}: {built.windows} windows, {built.groups} groups or stretches; a normal "
        f"{_whom(is_grouped=built.is_grouped)} raises an alarm with a chance of at most "
        f"{built.limits.false_alarm:.0%}"
    )


def _print(report: "DriftReport") -> None:
    print_table(
        "",
        ("channel", "verdict", "cause", "score (limit 1)", "mean", "reference", "std", "reference"),
        [
            (
                channel.name,
                channel.verdict,
                channel.cause,
                f"{channel.score:.2f}",
                f"{channel.mean:.4g}",
                f"{channel.reference_mean:.4g}",
                f"{channel.std:.4g}",
                f"{channel.reference_std:.4g}",
            )
            for channel in report.channels
        ],
    )
    what = report.cause or "no drift"
    size = f" {report.size:.3g} {report.size_unit}" if report.size is not None else ""
    where = f" on {', '.join(report.channels_at_fault)}" if report.channels_at_fault else ""
    since = f", since window {report.since_window}" if report.since_window is not None else ""
    click.echo(f"{report.verdict}: {what}{size}{where}{since}; {report.evidence}")
    say(
        f"{report.windows} windows judged, {report.windows_dropped} dropped (not finite); "
        f"a normal {_whom(is_grouped=report.reference_is_grouped)} raises an alarm with a chance "
        f"of at most {report.false_alarm_bound:.0%}"
    )


def _whom(*, is_grouped: bool) -> str:
    return "group" if is_grouped else "stretch like those of the reference (it names no groups)"
