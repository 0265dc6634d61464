"""`edgewright device`: enrolment tokens and the devices of a fleet."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._device_prepare import prepare
from edgewright.cli._fleet import (
    Place,
    Shown,
    fleet_command,
    listed,
    opened,
    operator,
    place_options,
    said,
    seconds,
    when,
)
from edgewright.cli._output import print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.fleet.client import Fleet
    from edgewright.fleet.devices import Device


@click.group()
def device() -> None:
    """Let devices in, list them, label them, revoke them."""


device.add_command(prepare)


@fleet_command(device)
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--expires", callback=seconds, default="24h", show_default=True, help="Span, like 15m or 7d."
)
@click.option("--label", "labels", multiple=True, help="KEY=VALUE that its devices get.")
@click.option("--for", "device_name", default="", help="One device only, also after it was wiped.")
@click.option("--approve", is_flag=True, help="Its devices wait for `device approve`.")
def token(
    fleet: "Fleet",
    *,
    uses: int,
    expires: float,
    labels: tuple[str, ...],
    device_name: str,
    approve: bool,
) -> Shown:
    """Make a token that lets devices into the project. It is printed once, a hash is kept.

    When the fleet has an authority (`fleet tls init`), what follows the dot tells the device which.
    """
    from edgewright.errors import InputError
    from edgewright.fleet.devices import TokenOrder
    from edgewright.fleet.labels import parse_labels

    try:
        order = TokenOrder(
            uses=uses,
            lifetime_s=expires,
            labels=parse_labels(labels),
            device=device_name,
            needs_approval=approve,
        )
    except ValueError as error:
        raise InputError(str(error), hint="see --help") from error
    made = fleet.create_enrolment_token(order)

    def show() -> None:
        say(f"good for {made.uses} device(s) until {when(made.expires_at_s)}:")
        click.echo(made.token)

    return Shown("enrolment-token", made, show)


@fleet_command(device)
@click.argument("name")
@click.option("--label", "labels", multiple=True, help="KEY=VALUE")
def add(fleet: "Fleet", name: str, *, labels: tuple[str, ...]) -> Shown:
    """Add a device that does not enrol itself, like one of SWUpdate; prints its secret once.

    SWUpdate sends it as `Authorization: TargetToken SECRET` (its option -k).
    """
    from edgewright.fleet.labels import parse_labels

    secret = fleet.add_device(name, parse_labels(labels))

    def show() -> None:
        say(f"the secret of {name}:")
        click.echo(secret)

    return Shown("device-added", {"device": name, "secret": secret}, show)


@fleet_command(device, name="list")
@click.option("--query", default="", help="Labels, like site=berlin,tier!=prod,camera,!retired.")
def list_devices(fleet: "Fleet", *, query: str) -> Shown:
    """List devices by name."""
    devices = list(fleet.devices(query))
    rows = [
        (
            d.name + (" (revoked)" if d.is_revoked else ""),
            when(d.last_seen_s) or "never",
            ", ".join(f"{m.model}@{m.running_version or '?'}" for m in d.models),
            ", ".join(f"{m.model}@{m.desired_version}" for m in d.models if m.desired_version),
            ", ".join(m.state for m in d.models if m.state),
            _labels(d.labels),
        )
        for d in devices
    ]
    columns = ("device", "seen", "runs", "desired", "last step", "labels")
    return listed("devices", {"devices": devices}, columns, rows)


@fleet_command(device)
@click.argument("name")
def show(fleet: "Fleet", name: str) -> Shown:
    """Show a device: what it is to run, what it runs, and why it last changed."""
    return _shown(fleet.device(name))


@fleet_command(device)
@click.argument("name")
@click.argument("changes", nargs=-1, required=True)
def label(fleet: "Fleet", name: str, changes: tuple[str, ...]) -> Shown:
    """Set labels (KEY=VALUE) or take them away (KEY-)."""
    from edgewright.fleet.labels import parse_labels

    removed = [change[:-1] for change in changes if change.endswith("-") and "=" not in change]
    wanted: dict[str, str | None] = dict.fromkeys(removed)
    wanted |= parse_labels(c for c in changes if not c.endswith("-") or "=" in c)
    return _shown(fleet.label_device(name, wanted))


@device.command()
@click.argument("name")
@click.argument("recipient")
@place_options
def recipient(name: str, recipient: str, *, place: Place) -> None:
    """Say whom encrypted releases for a device are for: RECIPIENT is its `ewr1:...`, or a file.

    Devices tell it themselves when they enrol; this is for one that enrolled before, or whose key
    is a new one (`edgewright agent recipient` shows it there).
    """
    from edgewright.keys.opener import read_recipient

    with opened(place) as office:
        office.recipients.set(name, read_recipient(recipient), by=operator())
    click.echo(f"encrypted releases for {name} are for its new key from now on")


@fleet_command(device)
@click.argument("name")
def revoke(fleet: "Fleet", name: str) -> Shown:
    """Let a device in no more; it is refused at its next request."""
    return _shown(fleet.revoke_device(name))


@fleet_command(device)
def pending(fleet: "Fleet") -> Shown:
    """List devices that wait for approval, with the fingerprint of their key."""
    found = fleet.waiting_devices()
    rows = [
        (d.device, when(d.asked_at_s), d.asked_by, d.key_hash[:16], _labels(d.labels))
        for d in found
    ]
    columns = ("device", "asked", "by", "key", "labels")
    return listed("devices-pending", {"devices": found}, columns, rows)


@fleet_command(device)
@click.argument("name")
def approve(fleet: "Fleet", name: str) -> Shown:
    """Let a waiting device in; it finds out when it asks again."""
    return _decided(fleet, name, is_approved=True)


@fleet_command(device)
@click.argument("name")
def refuse(fleet: "Fleet", name: str) -> Shown:
    """Refuse a waiting device."""
    return _decided(fleet, name, is_approved=False)


@fleet_command(device)
@click.argument("name")
@click.argument("zone")
def timezone(fleet: "Fleet", name: str, zone: str) -> Shown:
    """Say where a device is (like Europe/Berlin), for maintenance windows in its local time."""
    return _shown(fleet.set_timezone(name, zone))


@fleet_command(device)
@click.argument("name")
@click.argument("kind", metavar="COMMAND")
@click.option("--model", default="", help="Which model of a device that has several (probe).")
@click.option(
    "--expires", callback=seconds, default="1h", show_default=True, help="Span, at most 24h."
)
def command(fleet: "Fleet", name: str, kind: str, *, model: str, expires: float) -> Shown:
    """Have a device do COMMAND: restart-server, probe, support-bundle (its logs, sent here), or
    capture (what a sensor of it says until the time is over; see also `data capture agent`).

    The device does it when it next asks, or not at all once the time is over, and refuses what
    `remote_commands` in its agent.toml leaves out. See what came of it with `device commands NAME`.
    """
    from edgewright.errors import InputError
    from edgewright.fleet.remote_commands import CommandOrder

    if kind == "measure":
        raise InputError(
            "a device measures the models of a kit, not what it has",
            hint="edgewright optimize --measure-on agent:NAME sends one; `probe` tests what it has",
        )
    order = CommandOrder(kind=kind, model=model, lifetime_s=expires)
    made = fleet.order_command(name, order)
    text = f"command {made.number} waits for {name} until {when(made.expires_at_s)}"
    return said("device-command", made, text)


@fleet_command(device)
@click.argument("name")
def commands(fleet: "Fleet", name: str) -> Shown:
    """List what a device was ordered to do and what came of it, newest first."""
    found = fleet.commands(name)
    rows = [
        (c.number, c.kind, c.status, when(c.ordered_at_s), c.ordered_by, c.upload_bytes, c.text)
        for c in found
    ]
    columns = ("command", "what", "status", "ordered", "by", "file bytes", "result")
    return listed("device-commands", {"commands": found}, columns, rows)


@fleet_command(device, name="command-file")
@click.argument("name")
@click.argument("number", type=int)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
def command_file(fleet: "Fleet", name: str, number: int, *, out: Path) -> Shown:
    """Write the file that a device sent as the result of command NUMBER."""
    from edgewright import _fs

    content = fleet.command_file(name, number)
    _fs.write_atomic(out, content, mode=0o600)
    value = {"path": str(out), "size_bytes": len(content)}
    return said("device-command-file", value, f"{out}: {len(content)} bytes")


def _decided(fleet: "Fleet", name: str, *, is_approved: bool) -> Shown:
    fleet.decide_enrolment(name, is_approved=is_approved)
    value = {"device": name, "is_approved": is_approved}
    return said("device-decided", value, f"{name} is {'let in' if is_approved else 'refused'}")


def _labels(labels: "Mapping[str, str]") -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())


def _shown(found: "Device") -> Shown:
    rows = [
        ("device", found.name + (" (revoked)" if found.is_revoked else "")),
        ("labels", _labels(found.labels)),
        ("time zone", found.timezone),
        ("enrolled", when(found.enrolled_at_s)),
        ("seen", when(found.last_seen_s) or "never"),
    ]
    for model in found.models:
        rollout = f"rollout {model.rollout}" if model.rollout else "no rollout"
        rows += [
            (f"{model.model} desired", f"{model.desired_version or 'nothing'} ({rollout})"),
            (f"{model.model} runs", model.running_version or "not known"),
            (f"{model.model} last", f"{model.state or 'nothing reported'} {model.reason}".strip()),
        ]
    return Shown("device", found, lambda: print_table("", ("what", "value"), rows))
