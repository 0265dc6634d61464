"""`edgewright stream`: samples through a model, as they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from click.core import ParameterSource

from edgewright.cli._numbers import ABOVE_ZERO, Number
from edgewright.cli._output import JSON_SCHEMA_VERSION, say
from edgewright.errors import InputError

if TYPE_CHECKING:
    from edgewright.device.streams import Summary

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", metavar="MODEL|FILE.toml", type=_FILE)
@click.option("--source", type=_FILE, help="Samples: .csv with a header, or .jsonl.")
@click.option(
    "--sink",
    "sinks",
    multiple=True,
    default=("-",),
    show_default=True,
    help="Where results go: - (stdout), a file (JSON lines), http://HOST:PORT/PATH. Repeatable.",
)
@click.option("--columns", default="", help="Columns for the model's channels, a,b,c in its order.")
@click.option("--time-column", default="", help="Column with the time; found by name if left out.")
@click.option(
    "--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), default="s", show_default=True
)
@click.option(
    "--source-rate-hz", type=ABOVE_ZERO, help="Rate of evenly spaced rows that carry no time."
)
@click.option(
    "--rate-hz", type=ABOVE_ZERO, help="The model's rate, if its contract does not say it."
)
@click.option("--hop", type=click.IntRange(min=1), help="Samples between windows; half a window.")
@click.option(
    "--max-gap-s",
    type=ABOVE_ZERO,
    default=0.25,
    show_default=True,
    help="A longer gap is not bridged.",
)
@click.option(
    "--speed", type=ABOVE_ZERO, help="Keep the samples' own pace, times this; else at once."
)
@click.option(
    "--enter", type=Number(), default=0.5, show_default=True, help="Score that takes a label up."
)
@click.option(
    "--leave",
    type=Number(),
    default=0.3,
    show_default=True,
    help="Score below which it loses support.",
)
@click.option("--confirm", type=int, default=2, show_default=True, help="Windows to take up.")
@click.option("--release", type=int, default=3, show_default=True, help="Windows to let go.")
@click.option("--changes-only", is_flag=True, help="Only results that change the held label.")
@click.option("--json", "as_json", is_flag=True, help="Print a stream file's summary as JSON.")
def stream(
    *,
    model: Path,
    source: Path | None,
    sinks: tuple[str, ...],
    columns: str,
    time_column: str,
    time_unit: str,
    source_rate_hz: float | None,
    rate_hz: float | None,
    hop: int | None,
    max_gap_s: float,
    speed: float | None,
    enter: float,
    leave: float,
    confirm: int,
    release: int,
    changes_only: bool,
    as_json: bool,
) -> None:
    """Run samples of a sensor through a model, window by window.

    Results are JSON lines: what the model said about each window, and the label that is held to be
    true after hysteresis and debouncing. Gaps are never filled. A summary goes to stderr.

    With a stream file (.toml) instead of a model everything is said in that file: live sources
    (MQTT, AMQP, CoAP, serial, camera), any number of streams and bridges, queues on disk, and a
    server beside them. SIGTERM or Ctrl-C delivers what waits, then ends.
    """
    if model.suffix == ".toml":
        _refuse_options_beside_a_file()
        _run_file(model, as_json=as_json)
        return
    if source is None:
        raise InputError(
            "nothing says where samples come from", hint="give --source FILE, or a stream file"
        )
    from edgewright.chain.streaming import Replay, StreamOrder, stream_file
    from edgewright.clock import SystemClock
    from edgewright.contract.decoding import convert
    from edgewright.device.streams import Wishes

    rule = {"enter": enter, "leave": leave, "confirm": confirm, "release": release}
    wishes = {"hop": hop, "rate_hz": rate_hz, "max_gap_s": max_gap_s, "rule": rule}
    order = StreamOrder(
        model=model,
        source=Replay(
            path=source,
            columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
            time_column=time_column,
            time_unit=time_unit,
            rate_hz=source_rate_hz,
            speed=speed,
        ),
        sinks=sinks,
        wishes=convert(wishes, Wishes, source="options"),
        only_changes=changes_only,
    )
    _say_summary(stream_file(order, clock=SystemClock()))


def _refuse_options_beside_a_file() -> None:
    context = click.get_current_context()
    given = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in ("model", "as_json")
        and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise InputError(
            f"{' and '.join(given)} beside a stream file", hint="say it in the file instead"
        )


def _run_file(path: Path, *, as_json: bool) -> None:
    import logging

    from edgewright.chain.stream_gateway import run_stream_file
    from edgewright.clock import SystemClock

    def announce(addresses: Sequence[str]) -> None:
        say("ready" + (f": serving on {' and '.join(addresses)}" if addresses else ""))

    # What this library logs, with tracebacks, is raised as well and said in one line.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    summary = run_stream_file(path, clock=SystemClock(), on_ready=announce)
    if as_json:
        document = {"schema_version": JSON_SCHEMA_VERSION, "kind": "stream-summary"}
        click.echo(msgspec.json.encode(document | msgspec.to_builtins(summary)))
    for each in summary.streams:
        _say_summary(each)
    for bridge in summary.bridges:
        say(
            f"bridge: {bridge.received} received, {bridge.delivered} delivered, "
            f"{bridge.dropped} dropped, {bridge.refused} refused"
        )


def _say_summary(summary: "Summary") -> None:
    counts = summary.samples
    say(
        f"{counts.samples} samples ({counts.not_finite} not measured, {counts.repeated} repeated, "
        f"{counts.gaps} gaps, {counts.steps_back} clock steps back); {summary.windows} windows, "
        f"{summary.refused} without an answer, {summary.changes} changes"
    )
