"""`edgewright push`: a bundle to machines over SSH, without a fleet's server."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._fleet import seconds
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.fleet.push import PushReport

_FILE = click.Path(path_type=Path, dir_okay=False)
_KEY_LIMIT_BYTES = 16 << 10
_EXTRA = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


@click.command()
@click.argument("arguments", nargs=-1, metavar="[ssh://USER@HOST[:PORT]]... [X.ewb]")
@click.option("--rollback", "is_rollback", is_flag=True, help="Take X.ewb back instead.")
@click.option("--inventory", type=_FILE, help="TOML file with [[hosts]] url = ...")
@click.option("--home", default="", help="The agent's home there; found by itself if usual.")
@click.option("--edgewright", default="", help="The program there; may be several words.")
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of wheels: install or update edgewright there first, without a network.",
)
@click.option("--venv", default="", help="Where the package belongs there; usual places by itself.")
@click.option("--extra", "extras", multiple=True,
              help="Extra that it is to have; it keeps those that it has.")  # fmt: skip
@click.option("--key", "keys", type=_FILE, multiple=True,
              help="Public key that a machine without an agent's home is to trust.")  # fmt: skip
@click.option("--identity", "identities", type=_FILE, multiple=True, help="Private key file.")
@click.option("--known-hosts", type=_FILE, help="Instead of ~/.ssh/known_hosts.")
@click.option("--ssh-config", type=_FILE, help="Instead of ~/.ssh/config.")
@click.option("--at-once", type=click.IntRange(1, 200), default=10, show_default=True)
@click.option(
    "--timeout", callback=seconds, default="30m", show_default=True, help="Of one machine's change."
)
@click.option("--html", type=_FILE, help="Also write the report as a page.")
@json_option
def push(
    *,
    arguments: tuple[str, ...],
    is_rollback: bool,
    inventory: Path | None,
    home: str,
    edgewright: str,
    wheelhouse: Path | None,
    venv: str,
    extras: tuple[str, ...],
    keys: tuple[Path, ...],
    identities: tuple[Path, ...],
    known_hosts: Path | None,
    ssh_config: Path | None,
    at_once: int,
    timeout: float,
    html: Path | None,
    as_json: bool,
) -> None:
    """Bring a bundle to machines over SSH, or take it back.

    Each machine has an enrolled agent (by --key, or edgewright agent enroll) that
    verifies and probes the bundle itself. Before anything is sent: host key, architecture, disk,
    memory, engine and clock are checked. Afterwards: the active bundle, and the served model's
    golden answers; if they are wrong the machine is returned to what it ran. Ends with 0 only when
    every machine passed.

    With --wheelhouse a machine without edgewright, or with another version, is given the package
    first: Python, architecture, disk and wheels are checked before they are sent, and what was
    there counts until the new one answered. Its extras stay, and --extra adds one. Without X.ewb
    that is all.

    A server in a container is reached with --edgewright, for example
    "docker compose -f /srv/compose.yaml exec -T edge edgewright".
    """
    from edgewright._fs import check_place, read_limited, write_atomic
    from edgewright.fleet.push import (
        PushOptions,
        parse_target,
        read_inventory,
        read_wheelhouse,
        render,
    )

    urls = [argument for argument in arguments if argument.startswith("ssh:")]
    bundles = [argument for argument in arguments if not argument.startswith("ssh:")]
    targets = tuple(map(parse_target, urls)) + (read_inventory(inventory) if inventory else ())
    if not targets:
        raise click.UsageError("name a machine (ssh://user@host) or an --inventory")
    if len(bundles) > 1 or not (bundles or wheelhouse) or (is_rollback and not bundles):
        raise click.UsageError("name one bundle (X.ewb), or a --wheelhouse alone")
    if extras and not wheelhouse:
        raise click.UsageError("--extra says what comes with --wheelhouse: give that too")
    if edgewright and wheelhouse:
        raise click.UsageError("--edgewright names what is there, --wheelhouse brings it: either")
    if html:
        check_place(html)
    from edgewright.chain import pushing  # needs the extra; a wrong command line is told without

    order = pushing.PushOrder(
        bundle=Path(bundles[0]) if bundles else None,
        ssh=pushing.SshOptions(known_hosts=known_hosts, identities=identities, config=ssh_config),
        options=PushOptions(
            timeout_s=timeout,
            home=home,
            edgewright=edgewright,
            wheels=read_wheelhouse(wheelhouse) if wheelhouse else (),
            venv=venv,
            extras=tuple(map(_extra, extras)),
            keys=tuple(read_limited(key, limit_bytes=_KEY_LIMIT_BYTES) for key in keys),
        ),
        is_rollback=is_rollback,
        at_once=at_once,
    )
    report = pushing.push(targets, order)
    if html:
        write_atomic(html, render(report).encode())
    if as_json:
        print_json("push", report)
    else:
        _print(report)
    if report.exit_code:
        raise SystemExit(report.exit_code)


def _extra(name: str) -> str:
    """A name that is safe in a requirement and in a shell's script."""
    if not _EXTRA.fullmatch(name):
        raise click.UsageError(f"--extra {name!r}: expected a name like mqtt")
    return name.lower()


def _print(report: "PushReport") -> None:
    bundle = f", bundle {report.bundle_id[:12]}" if report.bundle_id else ""
    say(f"{report.model} {report.version}{bundle}")
    for host in report.hosts:
        result = "PASSED" if host.is_passed else "FAILED"
        gap = ""
        if host.downtime and host.downtime.is_measured:
            gap = f", longest gap {host.downtime.longest_gap_ms:g} ms"
        click.echo(f"{host.host}: {result}, {host.action} in {host.seconds:.1f} s{gap}")
        if host.error:
            say(f"  {host.error}")
        print_table(
            "",
            ("check", "result", "measured", "needed"),
            [(c.name, c.status, c.measured, c.needed) for c in host.checks],
        )
