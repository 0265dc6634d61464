"""`edgewright fleet`: the server, the keys it trusts, its audit log."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._fleet import Place, home_option, operator, place_options, seconds, when
from edgewright.cli._fleet_attest import attest
from edgewright.cli._fleet_notify import notify
from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.clock import iso

if TYPE_CHECKING:
    from edgewright.fleet.serving import Ready

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def fleet() -> None:
    """Serve a fleet, say whose signatures it trusts, read its audit log."""


fleet.add_command(notify)


@fleet.command()
@click.option("--listen", default="127.0.0.1:8700", show_default=True, help="HOST:PORT for people.")
@click.option(
    "--devices", default="127.0.0.1:8701", show_default=True, help="HOST:PORT for devices."
)
@click.option(
    "--tls/--no-tls", default=None, help="Default: on for addresses that other machines reach."
)
@click.option("--name", "names", multiple=True, help="A name that devices and people use for it.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    help="Address or network of a proxy that is believed: of devices its Client-Cert header "
    "(RFC 9440), of people its X-Forwarded-For.",
)
@click.option("--database", default="", help="postgresql://USER@HOST/DATABASE, for a new home.")
@click.option(
    "--blobs", default="", help="Keep release files in s3://bucket/prefix or a mounted folder."
)
@click.option("--mqtt", default="", help="A broker that wakes devices: mqtts://user@host[:port].")
@click.option("--mqtt-password-file", type=_FILE, help="The password of its user.")
@click.option("--amqp", default="", help="The same over AMQP: amqps://user@host[:port][/vhost].")
@click.option("--amqp-password-file", type=_FILE, help="The password of its user.")
@click.option("--coap", default="", help="HOST:PORT (UDP) for devices that speak CoAP.")
@home_option
@json_option
def serve(
    *,
    listen: str,
    devices: str,
    tls: bool | None,
    names: tuple[str, ...],
    trusted_proxies: tuple[str, ...],
    database: str,
    blobs: str,
    mqtt: str,
    mqtt_password_file: Path | None,
    amqp: str,
    amqp_password_file: Path | None,
    coap: str,
    home: Path,
    as_json: bool,
) -> None:
    """Serve devices and people until SIGTERM.

    Beyond loopback both listeners speak TLS: devices show a certificate that this fleet signed,
    people a token. Port 0 takes any free port; the line that says where is printed once both
    listeners answer.
    """
    from edgewright.chain import fleet_server

    def ready(where: "Ready") -> None:
        if as_json:
            print_json("fleet-ready", where)
        say(f"fleet ready: people {where.people} devices {where.devices} home {home}")

    order = fleet_server.ServeOrder(
        listen=listen,
        devices=devices,
        tls=tls,
        names=names,
        trusted_proxies=trusted_proxies,
        database=database,
        blobs=blobs,
        mqtt=mqtt,
        mqtt_password_file=mqtt_password_file,
        amqp=amqp,
        amqp_password_file=amqp_password_file,
        coap=coap,
    )
    fleet_server.serve(home, order, ready=ready)


fleet.add_command(attest)


@fleet.command(name="database")
@click.argument("url")
@home_option
def database_(url: str, *, home: Path) -> None:
    """Let a new home keep its state in PostgreSQL: postgresql://USER@HOST:PORT/DATABASE.

    Say it before anything else; `serve --database` says the same. A password may lie in ~/.pgpass.
    A fleet that is there already moves by `fleet backup` and `fleet restore --database`.
    """
    from edgewright.chain.fleet_database import choose

    choose(home, url)
    say(f"{home}: its state is in that database")


@fleet.group()
def tls() -> None:
    """Make or bring the authority that signs for devices, name the listeners."""


@tls.command(name="init")
@click.option("--name", "names", multiple=True, help="Host name or address of the listeners.")
@click.option(
    "--lifetime", callback=seconds, default="7d", show_default=True, help="Of device certificates."
)
@click.option("--authority", type=_FILE, help="Certificate of your own authority (PEM).")
@click.option("--authority-key", type=_FILE, help="Its key (PEM, without a password).")
@home_option
@json_option
def tls_init(
    *,
    names: tuple[str, ...],
    lifetime: float,
    authority: Path | None,
    authority_key: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Give the fleet an authority, its own unless one is brought, and a certificate of its names.

    Tokens that are made from now on tell devices which authority to believe.
    """
    from edgewright.chain.fleet import init_tls

    if (authority is None) != (authority_key is None):
        raise click.UsageError("--authority and --authority-key go together")
    brought = (authority, authority_key) if authority and authority_key else None
    made = init_tls(home, names, lifetime_s=lifetime, brought=brought, by=operator())
    if as_json:
        print_json("fleet-tls", made)
        return
    click.echo(f"authority {made.fingerprint}")
    for name in made.names:
        click.echo(f"  {name}")


@tls.command(name="factory")
@click.argument("certificate", type=_FILE)
@click.option("--auto/--approve", "is_auto", default=False, help="In at once, or after approval.")
@place_options
def tls_factory(certificate: Path, *, is_auto: bool, place: Place) -> None:
    """Let new devices into a project by a certificate that this factory CERTIFICATE signed.

    A server that runs takes note of it when it is started again.
    """
    from edgewright.chain.fleet import trust_factory

    trust_factory(
        place.home,
        certificate,
        needs_approval=not is_auto,
        project=place.project,
        by=operator(),
    )
    click.echo(f"devices of this factory are let in {'at once' if is_auto else 'after approval'}")


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


@fleet.command()
@home_option
@json_option
def recipient(*, home: Path, as_json: bool) -> None:
    """Show whom to encrypt releases of this fleet to; its key is made when there is none.

    What is shown is public.
    """
    from edgewright.chain import fleet as chain

    found = chain.recipient(home)
    if as_json:
        print_json("recipient", {"recipient": found.text, "key_id": found.key_id})
    else:
        click.echo(found.text)


@fleet.command()
@click.argument("output", type=_FILE)
@home_option
@json_option
def backup(output: Path, *, home: Path, as_json: bool) -> None:
    """Write all of a fleet to one file OUTPUT, while its server goes on.

    It holds the private keys of the fleet (authority, director, encrypted releases): keep it like a
    secret.
    """
    from edgewright.chain import fleet_backup

    made = fleet_backup.backup(home, output, by=operator())
    if as_json:
        print_json("fleet-backup", made)
    else:
        click.echo(f"{output}: {len(made.files)} files, audit log up to {made.audit_hash[:16]}")


@fleet.command()
@click.argument("source", type=_FILE)
@click.option("--database", default="", help="Into an empty postgresql://USER@HOST/DATABASE.")
@home_option
@json_option
def restore(source: Path, *, database: str, home: Path, as_json: bool) -> None:
    """Make a fleet of a backup SOURCE in a new folder --home; every hash is checked first.

    What was released after the backup is lost, and devices that saw it refuse the older list of
    releases until its keepers lift it: edgewright trust renew --above.
    """
    from edgewright.chain import fleet_backup
    from edgewright.chain.fleet import IMAGE
    from edgewright.chain.trust_repository import exists

    made = fleet_backup.restore(source, home, by=operator(), database=database)
    if as_json:
        print_json("fleet-restored", made)
    else:
        click.echo(f"{home}: {len(made.files)} files, audit log up to {made.audit_hash[:16]}")
    if exists(home / IMAGE):
        say(
            f"if anything was released after {iso(made.made_at_s)}, devices refuse this fleet until"
            f" keepers sign: edgewright trust renew {home / IMAGE} targets --above VERSION"
            " (the newest that a device names; docs/runbooks/restored-fleet.md)"
        )


@fleet.command()
@click.option("--days", type=NumberRange(min=0), help="Set it; 0 keeps them for ever.")
@home_option
@json_option
def retention(*, days: float | None, home: Path, as_json: bool) -> None:
    """Show or set for how many days numbers of devices (health, serving, drift) are kept.

    Steps of updates and the audit log are kept for ever.
    """
    from edgewright.chain.fleet import open_fleet

    with open_fleet(home) as office:
        if days is None:
            found = office.retention.facts()
        else:
            found = office.retention.set(days, by=operator())
    if as_json:
        print_json("fleet-retention", found)
    else:
        click.echo(
            f"numbers of devices are kept {f'{found.days:g} days' if found.days else 'for ever'}"
        )


@fleet.group()
def project() -> None:
    """Divide a fleet into projects that are closed to each other."""


@project.command(name="add")
@click.argument("name")
@home_option
@json_option
def project_add(name: str, *, home: Path, as_json: bool) -> None:
    """Add a project. Nobody is in it until `user add NAME --role ROLE --project PROJECT`."""
    from edgewright.chain.fleet import open_fleet

    with open_fleet(home) as office:
        made = office.projects.add(name, by=operator())
    if as_json:
        print_json("fleet-project", made)
    else:
        click.echo(f"{made.name} is there")


@project.command(name="list")
@home_option
@json_option
def project_list(*, home: Path, as_json: bool) -> None:
    """List projects, with how much each has."""
    import msgspec

    from edgewright.chain.fleet import open_fleet

    with open_fleet(home) as office:
        found = [(one, office.within(one.name).watch.counts()) for one in office.projects.list()]
    if as_json:
        rows = [{**msgspec.to_builtins(one), "counts": counts} for one, counts in found]
        print_json("fleet-projects", {"projects": rows})
        return
    print_table(
        "",
        ("project", "devices", "releases", "rollouts", "since"),
        [
            (one.name, counts["devices"], counts["releases"], counts["rollouts"],
             when(one.created_at_s))
            for one, counts in found
        ],
    )  # fmt: skip


@fleet.command(name="oidc-check")
@home_option
@json_option
def oidc_check(*, home: Path, as_json: bool) -> None:
    """Read oidc.toml in the fleet's folder and ask the identity provider what it says of itself."""
    from edgewright.chain.fleet import open_fleet
    from edgewright.chain.fleet_oidc import check

    with open_fleet(home) as office:
        found = check(home, office)
    if as_json:
        print_json("fleet-oidc", found)
    else:
        click.echo(f"{found.issuer} answers; people log in at {found.authorization_endpoint}")


@fleet.group()
def audit() -> None:
    """Read the audit log, check its chain."""


@audit.command(name="show")
@click.option("--newest", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--project", default="", help="Of this project only.")
@home_option
@json_option
def audit_show(*, newest: int, project: str, home: Path, as_json: bool) -> None:
    """Show who did what, newest first. What is no project's, like a login, has none."""
    from edgewright.chain.fleet import open_fleet
    from edgewright.fleet.audit import read_audit

    with open_fleet(home) as office:
        only = {office.projects.require(project)} if project else None
        entries = read_audit(office.state, newest=newest, projects=only)
    if as_json:
        print_json("fleet-audit", {"entries": entries})
        return
    print_table(
        "",
        ("when", "project", "who", "what", "subject", "detail"),
        [(when(e.at_s), e.project, e.who, e.what, e.subject, e.detail) for e in entries],
    )


@audit.command(name="verify")
@click.option("--noted", default="", help="Hash of an entry, noted earlier, that must be there.")
@home_option
@json_option
def audit_verify(*, noted: str, home: Path, as_json: bool) -> None:
    """Check that no entry was changed or taken out."""
    from edgewright.chain.fleet import open_fleet
    from edgewright.fleet.audit import verify_audit

    with open_fleet(home) as office:
        newest = verify_audit(office.state, noted=noted)
    count, last = (newest.sequence, newest.hash) if newest else (0, "")
    if as_json:
        print_json("fleet-audit-verification", {"entries": count, "newest_hash": last})
    else:
        click.echo(f"{count} entries, the chain is whole; newest hash {last or 'none'}")
