"""`edgewright data capture`: record live, from a port, a broker, a camera or a device's agent."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._data_common import (
    FILE,
    lineage,
    mapping_of,
    mapping_option,
    names_in,
    print_report,
    project_option,
    store_of,
)
from edgewright.cli._fleet import Anywhere, address_options, fleet_at, home_option
from edgewright.cli._fleet import seconds as span
from edgewright.cli._numbers import Number, NumberRange
from edgewright.cli._output import json_option, print_json, say

if TYPE_CHECKING:
    from edgewright.workbench.data.capture import CaptureOrder, CaptureSource, CaptureStatus

_out_option = click.option("--out", type=FILE, required=True, help="A new .jsonl file.")
_seconds_option = click.option(
    "--seconds", type=NumberRange(min=0, min_open=True), help="Stop then; else at Ctrl-C."
)
_subject_option = click.option("--subject", default="", help="Who it is.")
_label_option = click.option("--label", default="", help="What the person does.")
_columns_option = click.option("--columns", help="Names for numbers without: ax,ay,az.")
_rate_option = click.option("--rate", "expected_hz", type=Number(), help="Hz that should arrive.")


@click.group()
def capture() -> None:
    """Record live into a file that `data import` reads; Ctrl-C keeps what was recorded.

    Rate, holes and units are told while it runs. With a mapping (--mapping, or the project's own)
    the recording is stored as a dataset at the end.
    """


@capture.command()
@click.argument("port")
@click.option("--baud", type=int, default=115_200, show_default=True)
@_columns_option
@_out_option
@_seconds_option
@_subject_option
@_label_option
@_rate_option
@mapping_option
@project_option
@json_option
def serial(
    port: str,
    *,
    baud: int,
    columns: str | None,
    out: Path,
    seconds: float | None,
    subject: str,
    label: str,
    expected_hz: float | None,
    mapping_path: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Record lines of a serial PORT: numbers between commas or tabs, or JSON objects."""
    from edgewright.workbench.data.capture.serial import SerialSource

    order = _order(out, seconds, subject, label, columns)
    source = SerialSource(port, baud=baud)
    _run(source, order, expected_hz, folder, mapping_path, as_json=as_json)


@capture.command()
@click.argument("url")
@click.option("--topic", required=True, help="A topic filter: gym/+/watch.")
@_columns_option
@_out_option
@_seconds_option
@_subject_option
@_label_option
@_rate_option
@mapping_option
@project_option
@json_option
def mqtt(
    url: str,
    *,
    topic: str,
    columns: str | None,
    out: Path,
    seconds: float | None,
    subject: str,
    label: str,
    expected_hz: float | None,
    mapping_path: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Record what a broker sends under a topic; URL is mqtt://host:1883."""
    from edgewright.workbench.data.capture.mqtt import MqttSource

    order = _order(out, seconds, subject, label, columns)
    source = MqttSource(url, topic=topic)
    _run(source, order, expected_hz, folder, mapping_path, as_json=as_json)


@capture.command()
@click.argument("device")
@click.option(
    "--every", "interval_s", type=Number(), default=1.0, show_default=True, help="Seconds."
)
@_out_option
@_seconds_option
@_subject_option
@_label_option
@json_option
def camera(
    device: str,
    *,
    interval_s: float,
    out: Path,
    seconds: float | None,
    subject: str,
    label: str,
    as_json: bool,
) -> None:
    """Record pictures of DEVICE (a number, or a film's path) beside the file that lists them."""
    from edgewright.workbench.data.capture.camera import CameraSource

    order = _order(out, seconds, subject, label, None)
    source = CameraSource(device, folder=out.with_suffix(""), interval_s=interval_s)
    _run(source, order, None, None, None, as_json=as_json)


@capture.command()
@click.argument("device")
@click.option(
    "--seconds",
    "span_s",
    callback=span,
    default="60s",
    show_default=True,
    help="How long, from now on; a span, at most 10m.",
)
@_columns_option
@_out_option
@_subject_option
@_label_option
@_rate_option
@mapping_option
@project_option
@address_options
@home_option
@click.option("--fleet-project", default="default", help="The project of the fleet.")
@json_option
def agent(
    device: str,
    *,
    span_s: float,
    columns: str | None,
    out: Path,
    subject: str,
    label: str,
    expected_hz: float | None,
    mapping_path: Path | None,
    folder: Path,
    home: Path,
    url: str,
    token_file: Path | None,
    ca: Path | None,
    fleet_project: str,
    as_json: bool,
) -> None:
    """Have DEVICE of a fleet record its own sensor, and write down what it sends.

    Only where its agent.toml allows it and names the sensor (`remote_commands`, `capture`). Ctrl-C
    ends the writing; the device goes on until the time is over.
    """
    from edgewright.chain.device_capture import FleetErrand
    from edgewright.clock import SystemClock
    from edgewright.workbench.data.capture.agent import AgentSource

    order = _order(out, None, subject, label, columns)
    place = Anywhere(home=home, project=fleet_project, url=url, token_file=token_file, ca=ca)
    with fleet_at(place) as fleet:
        errand = FleetErrand(fleet, device, seconds=span_s)
        source = AgentSource(errand, clock=SystemClock())
        _run(source, order, expected_hz, folder, mapping_path, as_json=as_json)


def _order(
    out: Path, seconds: float | None, subject: str, label: str, columns: str | None
) -> "CaptureOrder":
    from edgewright.errors import InputError
    from edgewright.workbench.data.capture import CaptureOrder

    if out.suffix != ".jsonl":
        raise InputError(f"{out}: a capture is written as .jsonl", hint=f"{out.stem}.jsonl")
    facts = {"subject": subject, "label": label, "recording": out.stem if subject else ""}
    return CaptureOrder(
        path=out,
        facts={name: value for name, value in facts.items() if value},
        seconds=seconds,
        columns=names_in(columns),
    )


def _run(
    source: "CaptureSource",
    order: "CaptureOrder",
    expected_hz: float | None,
    folder: Path | None,
    mapping_path: Path | None,
    *,
    as_json: bool,
) -> None:
    from edgewright.clock import SystemClock
    from edgewright.errors import TransportError
    from edgewright.workbench.data import ImportOrder, SourceMapping, import_source
    from edgewright.workbench.data.capture import LiveCheck, record

    mapping = SourceMapping() if folder is None else mapping_of(folder, mapping_path)
    check = LiveCheck(mapping, expected_hz=expected_hz)
    say(f"recording into {order.path}; Ctrl-C ends it")
    try:
        asyncio.run(record(source, order, check, clock=SystemClock(), on_status=_tell))
    except KeyboardInterrupt:
        say("stopped; what was recorded is kept")
    except TransportError:
        if order.path.exists():
            say("what was recorded is kept")
        raise
    status = check.status()
    for warning in check.warnings():
        say(f"warning: {warning}")
    if folder is not None and mapping.channels and status.samples:
        found = ImportOrder(source=str(order.path), mapping=mapping, lineage=lineage())
        print_report(import_source(found, store_of(folder)), as_json=as_json)
    elif as_json:
        print_json("capture", {"file": str(order.path), **_facts(status)})
    else:
        what = f"{order.path}: {status.samples} samples, {status.seconds:.1f} s"
        click.echo(what if status.samples else "nothing came; no file was written")


def _facts(status: "CaptureStatus") -> dict[str, object]:
    import msgspec

    return dict(msgspec.to_builtins(status))


def _tell(status: "CaptureStatus", warnings: tuple[str, ...]) -> None:
    text = f"{status.samples} samples, {status.rate_hz:.4g} Hz"
    say("; ".join([text, *warnings]))
