"""`edgewright device`: enrolment tokens and the devices of a fleet."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._device_prepare import prepare
from edgewright.cli._fleet import home_option, opened, operator, seconds, when
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.fleet.devices import Device

_PAGE = 1000


@click.group()
def device() -> None:
    """Let devices in, list them, label them, revoke them."""


device.add_command(prepare)


@device.command()
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--expires", callback=seconds, default="24h", show_default=True, help="Span, like 15m or 7d."
)
@click.option("--label", "labels", multiple=True, help="KEY=VALUE that its devices get.")
@click.option("--for", "device_name", default="", help="One device only, also after it was wiped.")
@click.option("--approve", is_flag=True, help="Its devices wait for `device approve`.")
@home_option
@json_option
def token(
    *,
    uses: int,
    expires: float,
    labels: tuple[str, ...],
    device_name: str,
    approve: bool,
    home: Path,
    as_json: bool,
) -> None:
    """Make a token that lets devices in. It is printed once and kept as a hash only.

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
    with opened(home) as office:
        made = office.devices.create_token(order, by=operator())
    if as_json:
        print_json("enrolment-token", made)
        return
    say(f"good for {made.uses} device(s) until {when(made.expires_at_s)}:")
    click.echo(made.token)


@device.command()
@click.argument("name")
@click.option("--label", "labels", multiple=True, help="KEY=VALUE")
@home_option
@json_option
def add(name: str, *, labels: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Add a device that does not enrol itself, like one of SWUpdate; prints its secret once.

    SWUpdate sends it as `Authorization: TargetToken SECRET` (its option -k).
    """
    from edgewright.fleet.devices import TokenOrder
    from edgewright.fleet.labels import parse_labels

    with opened(home) as office:
        order = TokenOrder(device=name, lifetime_s=60.0)
        made = office.devices.create_token(order, by=operator()).token
        secret = office.devices.enrol(made, name, parse_labels(labels))
    if as_json:
        print_json("device-added", {"device": name, "secret": secret})
        return
    say(f"the secret of {name}:")
    click.echo(secret)


@device.command(name="list")
@click.option("--query", default="", help="Labels, like site=berlin,tier!=prod,camera,!retired.")
@home_option
@json_option
def list_devices(*, query: str, home: Path, as_json: bool) -> None:
    """List devices by name."""
    from edgewright.fleet.labels import parse_query

    clauses, devices = parse_query(query), list["Device"]()
    with opened(home) as office:
        while page := office.devices.find(
            clauses, limit=_PAGE, after=devices[-1].name if devices else ""
        ):
            devices += page
    if as_json:
        print_json("devices", {"devices": devices})
        return
    print_table(
        "",
        ("device", "seen", "runs", "desired", "last step", "labels"),
        [
            (
                d.name + (" (revoked)" if d.is_revoked else ""),
                when(d.last_seen_s) or "never",
                ", ".join(f"{m.model}@{m.running_version or '?'}" for m in d.models),
                ", ".join(f"{m.model}@{m.desired_version}" for m in d.models if m.desired_version),
                ", ".join(m.state for m in d.models if m.state),
                " ".join(f"{key}={value}" for key, value in d.labels.items()),
            )
            for d in devices
        ],
    )


@device.command()
@click.argument("name")
@home_option
@json_option
def show(name: str, *, home: Path, as_json: bool) -> None:
    """Show a device: what it is to run, what it runs, and why it last changed."""
    with opened(home) as office:
        found = office.devices.show(name)
    _print_device(found, as_json=as_json)


@device.command()
@click.argument("name")
@click.argument("changes", nargs=-1, required=True)
@home_option
@json_option
def label(name: str, changes: tuple[str, ...], *, home: Path, as_json: bool) -> None:
    """Set labels (KEY=VALUE) or take them away (KEY-)."""
    from edgewright.fleet.labels import parse_labels

    removed = [change[:-1] for change in changes if change.endswith("-") and "=" not in change]
    wanted: dict[str, str | None] = dict.fromkeys(removed)
    wanted |= parse_labels(c for c in changes if not c.endswith("-") or "=" in c)
    with opened(home) as office:
        office.devices.label(name, wanted, by=operator())
        found = office.devices.show(name)
    _print_device(found, as_json=as_json)


@device.command()
@click.argument("name")
@click.argument("recipient")
@home_option
def recipient(name: str, recipient: str, *, home: Path) -> None:
    """Say whom encrypted releases for a device are for: RECIPIENT is its `ewr1:...`, or a file.

    Devices tell it themselves when they enrol; this is for one that enrolled before, or whose key
    is a new one (`edgewright agent recipient` shows it there).
    """
    from edgewright.keys.opener import read_recipient

    with opened(home) as office:
        office.recipients.set(name, read_recipient(recipient), by=operator())
    click.echo(f"encrypted releases for {name} are for its new key from now on")


@device.command()
@click.argument("name")
@home_option
@json_option
def revoke(name: str, *, home: Path, as_json: bool) -> None:
    """Let a device in no more; it is refused at its next request."""
    with opened(home) as office:
        office.devices.revoke(name, by=operator())
        found = office.devices.show(name)
    _print_device(found, as_json=as_json)


@device.command()
@home_option
@json_option
def pending(*, home: Path, as_json: bool) -> None:
    """List devices that wait for approval, with the fingerprint of their key."""
    with opened(home) as office:
        found = office.enrolments.waiting()
    if as_json:
        print_json("devices-pending", {"devices": found})
        return
    print_table(
        "",
        ("device", "asked", "by", "key", "labels"),
        [
            (
                d.device,
                when(d.asked_at_s),
                d.asked_by,
                d.key_hash[:16],
                " ".join(f"{key}={value}" for key, value in d.labels.items()),
            )
            for d in found
        ],
    )


@device.command()
@click.argument("name")
@home_option
def approve(name: str, *, home: Path) -> None:
    """Let a waiting device in; it finds out when it asks again."""
    with opened(home) as office:
        office.enrolments.decide(name, is_approved=True, by=operator())
    click.echo(f"{name} is let in")


@device.command()
@click.argument("name")
@home_option
def refuse(name: str, *, home: Path) -> None:
    """Refuse a waiting device."""
    with opened(home) as office:
        office.enrolments.decide(name, is_approved=False, by=operator())
    click.echo(f"{name} is refused")


@device.command()
@click.argument("name")
@click.argument("zone")
@home_option
@json_option
def timezone(name: str, zone: str, *, home: Path, as_json: bool) -> None:
    """Say where a device is (like Europe/Berlin), for maintenance windows in its local time."""
    with opened(home) as office:
        office.devices.set_timezone(name, zone, by=operator())
        found = office.devices.show(name)
    _print_device(found, as_json=as_json)


def _print_device(found: "Device", *, as_json: bool) -> None:
    if as_json:
        print_json("device", found)
        return
    rows = [
        ("device", found.name + (" (revoked)" if found.is_revoked else "")),
        ("labels", " ".join(f"{key}={value}" for key, value in found.labels.items())),
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
    print_table("", ("what", "value"), rows)
