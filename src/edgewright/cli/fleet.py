"""`edgewright fleet`: the server, the keys it trusts, its audit log."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._fleet import home_option, opened, operator, when
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.fleet.serving import Ready

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def fleet() -> None:
    """Serve a fleet, say whose signatures it trusts, read its audit log."""


@fleet.command()
@click.option("--listen", default="127.0.0.1:8700", show_default=True, help="HOST:PORT for people.")
@click.option(
    "--devices", default="127.0.0.1:8701", show_default=True, help="HOST:PORT for devices."
)
@home_option
@json_option
def serve(*, listen: str, devices: str, home: Path, as_json: bool) -> None:
    """Serve devices and people until SIGTERM.

    Both listeners are for loopback only: devices and people are not identified by certificate yet.
    Port 0 takes any free port; the line that says where is printed once both listeners answer.
    """
    from edgewright.chain import fleet_server

    def ready(where: "Ready") -> None:
        if as_json:
            print_json("fleet-ready", where)
        say(f"fleet ready: people {where.people} devices {where.devices} home {home}")

    fleet_server.serve(home, listen=listen, devices=devices, ready=ready)


@fleet.command()
@click.argument("keys", type=_FILE, nargs=-1, required=True)
@click.option(
    "--threshold",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many of the keys must have signed.",
)
@home_option
@json_option
def trust(*, keys: tuple[Path, ...], threshold: int, home: Path, as_json: bool) -> None:
    """Trust these public keys (.pub files), instead of those before; makes the fleet if absent.

    Devices that enrol from now on are told the same keys.
    """
    from edgewright.chain import fleet as chain

    trusted = chain.trust(home, keys, threshold=threshold, by=operator())
    if as_json:
        key_ids = [key.key_id for key in trusted.keys]
        print_json("fleet-trust", {"threshold": threshold, "key_ids": key_ids})
        return
    say(f"{home}: a bundle needs {threshold} of these signatures")
    print_table("", ("key",), [(key.key_id,) for key in trusted.keys])


@fleet.group()
def audit() -> None:
    """Read the audit log, check its chain."""


@audit.command(name="show")
@click.option("--newest", type=click.IntRange(min=1), default=50, show_default=True)
@home_option
@json_option
def audit_show(*, newest: int, home: Path, as_json: bool) -> None:
    """Show who did what, newest first."""
    from edgewright.fleet.audit import read_audit

    with opened(home) as office:
        entries = read_audit(office.state, newest=newest)
    if as_json:
        print_json("fleet-audit", {"entries": entries})
        return
    print_table(
        "",
        ("when", "who", "what", "subject", "detail"),
        [(when(e.at_s), e.who, e.what, e.subject, e.detail) for e in entries],
    )


@audit.command(name="verify")
@home_option
@json_option
def audit_verify(*, home: Path, as_json: bool) -> None:
    """Check that no entry was changed or taken out."""
    from edgewright.fleet.audit import verify_audit

    with opened(home) as office:
        newest = verify_audit(office.state)
    count, last = (newest.sequence, newest.hash) if newest else (0, "")
    if as_json:
        print_json("fleet-audit-verification", {"entries": count, "newest_hash": last})
    else:
        click.echo(f"{count} entries, the chain is whole; newest hash {last or 'none'}")
