"""How validations look in a terminal and in files."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import print_table, say
from edgewright.cli._progress import progress_bar
from edgewright.evidence.interval import number_text

if TYPE_CHECKING:
    from edgewright.cli._progress import Bar
    from edgewright.validate.difference import Difference
    from edgewright.validate.report import Report, SuiteReport
    from edgewright.validate.suite import Reports
    from edgewright.validate.versus import VersusReport

_TICK_S = 0.5


@contextlib.contextmanager
def timed_progress(task: str, *, expected_s: float) -> Iterator[None]:
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


def check_reports(files: "Reports") -> None:
    """Refuse places that the reports cannot be written to, before minutes of load."""
    from edgewright._fs import check_place

    for name in filter(None, (files.out, files.html, files.junit, files.edge_json)):
        check_place(Path(name))


def write_reports(report: "Report | SuiteReport", files: "Reports") -> None:
    """The files that were asked for."""
    from edgewright._fs import write_atomic
    from edgewright.validate import encode_report
    from edgewright.validate.earlier import earlier_json
    from edgewright.validate.html import html_page
    from edgewright.validate.junit import junit_xml

    reports = report.all_reports
    if files.out:
        write_atomic(Path(files.out), encode_report(report))
    if files.html:
        write_atomic(Path(files.html), html_page(reports, left_out=report.left_out).encode())
    if files.junit:
        write_atomic(Path(files.junit), junit_xml(reports))
    if files.edge_json:
        write_atomic(Path(files.edge_json), earlier_json(reports))


def print_report(report: "Report | SuiteReport") -> None:
    """Tables, sentences, and the verdict last."""
    reports = report.all_reports
    for one in reports:
        _print_one(one)
    for left in report.left_out:
        say(f"not run: {left.scenario}, {left.reason}")
    if len(reports) > 1 or report.left_out:
        for one in reports:
            click.echo(f"{one.verdict.outcome}  {one.scenario}")
        click.echo(f"{report.outcome} in {report.seconds:.0f} s")


def print_versus(report: "VersusReport") -> None:
    """How much slower, and what could have been seen."""
    print_table(
        f"{report.before} -> {report.after}",
        ("figure", "after / before", "from", "to"),
        [(name, f"{s.ratio.value:.3f}", _number(s.ratio.low), _number(s.ratio.high))
         for name, s in report.shifts.items()],
    )  # fmt: skip
    for note in report.notes:
        say(note)
    say(report.how)
    say(f"on {report.machine.text}")
    click.echo(report.outcome)
    for reason in report.verdict.reasons:
        click.echo(f"  {reason}")


def print_difference(difference: "Difference") -> None:
    """What changed; of suites with the scenario before each figure."""
    has_many = len({one.scenario for one in difference.changes}) > 1
    print_table(
        f"{difference.before} -> {difference.after}",
        ("figure", "before", "after", "unit", "ratio", "from", "to", "says"),
        [(f"{c.scenario}: {c.name}" if has_many else c.name, _number(c.before), _number(c.after),
          c.unit, f"{c.ratio:.3f}", f"{c.ratio_low:.3f}", f"{c.ratio_high:.3f}", c.direction)
         for c in difference.changes],
    )  # fmt: skip
    for loss in difference.losses:
        click.echo(f"lost: {loss}")
    for doubt in difference.doubts:
        click.echo(f"not sound: {doubt}")


def _print_one(report: "Report") -> None:
    title = f"{report.model}, {report.scenario}, {report.subject}"
    if not sys.stdout.isatty():
        say(title)
    print_table(
        title,
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


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)
