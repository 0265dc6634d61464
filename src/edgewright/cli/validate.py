"""`edgewright validate`: does this model, as it is served, keep its limits?"""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.cli._progress import progress_bar
from edgewright.errors import INTERRUPTED_EXIT_CODE, GateError
from edgewright.evidence import INVALID_EXIT_CODE

if TYPE_CHECKING:
    from edgewright.cli._progress import Bar
    from edgewright.validate import Report

_FILE = click.Path(path_type=Path)
_TICK_S = 0.5


@click.command()
@click.argument("target", required=False)
@click.option("--model", help="The model's name; the bundle's or the server's only one if absent.")
@click.option("--scenario", default="single-stream", show_default=True, help="How load is put on.")
@click.option("--rps", type=click.FloatRange(min=0, min_open=True), help="Requests a second.")
@click.option("--p95-ms", type=click.FloatRange(min=0, min_open=True), help="Latency limit.")
@click.option("--memory-mb", type=click.FloatRange(min=0, min_open=True), help="Memory limit.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="How long load is put on.")
@click.option("--connections", type=click.IntRange(min=1), help="Connections at once.")
@click.option("--golden", type=_FILE, help="Questions and right answers (.npz).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of arrivals and questions.")
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often a run that the machine's noise spoilt is tried.",
)
@click.option("--html", type=_FILE, help="Write the report as one HTML file.")
@click.option("--junit", type=_FILE, help="Write the report as JUnit XML.")
@click.option("--out", type=_FILE, help="Write the report as JSON, for --diff.")
@click.option("--diff", type=_FILE, nargs=2, help="Compare two JSON reports instead.")
@json_option
def validate(  # one command line, one parameter for each flag
    *,
    target: str | None,
    model: str | None,
    scenario: str,
    rps: float | None,
    p95_ms: float | None,
    memory_mb: float | None,
    seconds: float | None,
    connections: int | None,
    golden: Path | None,
    seed: int,
    attempts: int,
    html: Path | None,
    junit: Path | None,
    out: Path | None,
    diff: tuple[Path, Path] | None,
    as_json: bool,
) -> int:
    """Decide whether a served model may go out.

    TARGET is a URL, a bundle or a model file; the last two get a server process of their own. The
    verdict is VALID-PASS (exit code 0), VALID-FAIL (7: a limit was missed) or INVALID (9: the
    measurement itself is not sound, for example because the machine was busy).
    """
    if diff is not None:
        return _diff(*diff, as_json=as_json)
    if target is None:
        raise click.UsageError("Missing argument 'TARGET': a URL, a bundle or a model file.")
    from edgewright.chain.validation import ValidationOrder, run_validation
    from edgewright.validate import scenario_named

    asked = ValidationOrder(
        target=target,
        scenario=scenario_named(scenario),
        model=model,
        rate_rps=rps,
        p95_ms=p95_ms,
        memory_mb=memory_mb,
        seconds=seconds,
        connections=connections,
        golden=golden,
        attempts=attempts,
        seed=seed,
    )
    with _timed_progress(scenario, expected_s=asked.standard_seconds * 1.2 + 1.0):
        report = run_validation(asked)
    _write(report, html=html, junit=junit, out=out)
    if as_json:
        print_json("validation", report)
    else:
        _print(report)
    return INTERRUPTED_EXIT_CODE if report.is_partial else report.verdict.exit_code


@contextlib.contextmanager
def _timed_progress(task: str, *, expected_s: float) -> Iterator[None]:
    """A bar that follows the clock: how long a run takes is known beforehand."""
    is_over = threading.Event()

    def follow(bar: "Bar") -> None:
        start_s = time.monotonic()
        while not is_over.wait(_TICK_S):
            bar.move(min((time.monotonic() - start_s) / expected_s, 0.99), "")

    with progress_bar() as bar:
        bar.begin(task)
        follower = threading.Thread(target=follow, args=(bar,), name="progress", daemon=True)
        follower.start()
        try:
            yield
        finally:
            is_over.set()
            follower.join()
        bar.end("")


def _write(report: "Report", *, html: Path | None, junit: Path | None, out: Path | None) -> None:
    from edgewright._fs import write_atomic
    from edgewright.validate import encode_report
    from edgewright.validate.html import html_page
    from edgewright.validate.junit import junit_xml

    if out is not None:
        write_atomic(out, encode_report(report))
    if html is not None:
        write_atomic(html, html_page(report).encode())
    if junit is not None:
        write_atomic(junit, junit_xml(report))


def _print(report: "Report") -> None:
    print_table(
        f"{report.model}, {report.scenario}, {report.subject}",
        ("figure", "value", "unit", "from", "to"),
        [(f.name, _number(f.value), f.unit, _number(f.low), _number(f.high))
         for f in report.figures],
    )  # fmt: skip
    for gate in report.verdict.gates:
        click.echo(gate.sentence())
    for line in (*report.answers.reasons, *report.notes):
        say(line)
    for attempt in report.discarded:
        say(f"attempt {attempt.attempt} was discarded: {'; '.join(attempt.doubts)}")
    say(f"on {report.machine.text}")
    click.echo(report.verdict.outcome)
    for reason in report.verdict.reasons:
        click.echo(f"  {reason}")


def _diff(before: Path, after: Path, *, as_json: bool) -> int:
    from edgewright.validate import read_report
    from edgewright.validate.difference import compare_reports

    difference = compare_reports(read_report(before), read_report(after))
    if as_json:
        print_json("validation-difference", difference)
    else:
        print_table(
            f"{difference.before} -> {difference.after}",
            ("figure", "before", "after", "unit", "ratio", "from", "to", "says"),
            [(c.name, _number(c.before), _number(c.after), c.unit, f"{c.ratio:.3f}",
              f"{c.ratio_low:.3f}", f"{c.ratio_high:.3f}", c.direction)
             for c in difference.changes],
        )  # fmt: skip
        for doubt in difference.doubts:
            click.echo(f"not sound: {doubt}")
    if difference.doubts:
        return INVALID_EXIT_CODE
    return GateError.exit_code if difference.is_worse else 0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
