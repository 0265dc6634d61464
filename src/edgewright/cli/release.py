"""`edgewright release`: bundles that the fleet may offer."""

from pathlib import Path

import click

from edgewright.cli._fleet import home_option, moment, opened, operator, when
from edgewright.cli._output import json_option, print_json, print_table, say


@click.group()
def release() -> None:
    """Publish bundles, list releases, show where one came from."""


@release.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "keys", type=click.Path(path_type=Path), multiple=True,
              help="A keeper's private key, to sign the target now.")  # fmt: skip
@click.option("--password-file", type=click.Path(path_type=Path), help="The keys' password.")
@click.option(
    "--also",
    type=click.Choice(["swu"]),
    multiple=True,
    help="Also wrap it for SWUpdate, whose devices then take part in rollouts.",
)
@click.option("--swu-home", default="/var/lib/edgewright", show_default=True, help="There.")
@click.option(
    "--swu-program", default="/opt/edgewright/bin/edgewright", show_default=True, help="There."
)
@click.option(
    "--swu-signer",
    type=(click.Path(path_type=Path), click.Path(path_type=Path)),
    metavar="CERT KEY",
    help="PEM files to sign it with, for an SWUpdate that was built to ask for it (Debian's).",
)
@home_option
@json_option
def publish(
    file: Path,
    *,
    keys: tuple[Path, ...],
    password_file: Path | None,
    also: tuple[str, ...],
    swu_home: str,
    swu_program: str,
    swu_signer: tuple[Path, Path] | None,
    home: Path,
    as_json: bool,
) -> None:
    """Verify a bundle FILE and offer it under its version. Publishing it again changes nothing.

    Where the fleet keeps an image repository, the bundle becomes a target of it first: it is
    offered once the keepers have signed, with --key here or with `trust sign` where they are; then
    publish it again.
    """
    from edgewright.chain import releases, trust_repository

    signers = [trust_repository.key_of(key, password_file) for key in keys]
    made = releases.publish(home, file, by=operator(), signers=signers)
    if also and made.release:
        from edgewright.fleet.swu import SwuPlaces, SwuSigner

        places = SwuPlaces(incoming=f"{swu_home}/incoming", home=swu_home, program=swu_program)
        pair = SwuSigner(certificate=swu_signer[0], key=swu_signer[1]) if swu_signer else None
        with opened(home) as office:
            say(f"for SWUpdate: {office.registry.wrap(made.release, places, pair)}")
    if as_json:
        print_json("release", made.release or made)
        return
    if made.release:
        signed = ", ".join(key[:12] for key in made.release.signers) or "nobody"
        vouched = f"released as {made.target}; " if made.is_target else ""
        click.echo(
            f"{made.release.text}: bundle {made.bundle_id[:12]}, {vouched}signed by {signed}"
        )
        return
    click.echo(f"{made.target}: staged, not offered yet")
    for lack in made.lacks:
        wanted = " ".join(key_id[:12] for key_id in lack.key_ids)
        say(f"missing: {lack.count} signature(s) for {lack.role}, of {wanted}")
    say(f"sign: edgewright trust sign {home / 'image'} --key KEY; then publish it again")


@release.command()
@click.argument("reference")
@click.option("--device", default="", help="The device that it is for; needed where one directs.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .ewx to write.")
@click.option("--days", type=click.FloatRange(min=0.01, max=366), default=30, show_default=True,
              help="How long the director's word holds on the way.")  # fmt: skip
@home_option
@json_option
def export(
    reference: str, *, device: str, out: Path, days: float, home: Path, as_json: bool
) -> None:
    """Write an air-gap file: a release with all the metadata that a device needs to believe it."""
    from edgewright.chain import releases

    label = releases.export(home, reference, device=device, out=out, days=days)
    if as_json:
        print_json("parcel", {"path": str(out), "label": label})
    else:
        click.echo(f"{out}: {label.model}@{label.version} for {device or 'any device'}")


@release.command(name="list")
@home_option
@json_option
def list_releases(*, home: Path, as_json: bool) -> None:
    """List releases, newest first."""
    with opened(home) as office:
        releases = office.registry.releases()
    if as_json:
        print_json("releases", {"releases": releases})
        return
    print_table(
        "",
        ("release", "engine", "bytes", "bundle", "published", "by"),
        [
            (
                r.text,
                f"{r.format}, {r.precision}",
                r.file_size_bytes,
                r.bundle_id[:12],
                when(r.published_at_s),
                r.published_by,
            )
            for r in releases
        ],
    )


@release.command()
@click.argument("reference")
@home_option
@json_option
def show(reference: str, *, home: Path, as_json: bool) -> None:
    """Show a release (MODEL@VERSION or a bundle id) back to its data, run and signatures."""
    with opened(home) as office:
        found = office.registry.release(reference)
    if as_json:
        print_json("release", found)
        return
    made_from = found.provenance
    rows = [
        ("release", found.text),
        ("bundle", found.bundle_id),
        ("file", f"{found.file_sha256}, {found.file_size_bytes} bytes"),
        ("engine", f"{found.format}, {found.precision}"),
        ("published", f"{when(found.published_at_s)} by {found.published_by}"),
        *(("signed by", key) for key in found.signers),
        ("recipe", made_from.recipe),
        ("dataset", made_from.dataset),
        ("split", made_from.split),
        ("run", made_from.run),
        ("variant", made_from.variant),
    ]
    print_table("", ("what", "value"), rows)


@release.command()
@click.argument("reference")
@click.option("--model", default="", help="Which of a device's models; needed with several.")
@click.option("--at", "at", default="", help="What the device ran then, like 2026-01-31T06:10:00Z.")
@home_option
@json_option
def lineage(reference: str, *, model: str, at: str, home: Path, as_json: bool) -> None:
    """Show what made REFERENCE: MODEL@VERSION, the bundle id in an answer, or device:NAME."""
    kind, _, name = reference.partition(":")
    with opened(home) as office:
        if kind == "device" and name:
            found = office.lineages.of_device(name, model=model, at_s=moment(at))
        else:
            found = office.lineages.of_release(reference)
    if as_json:
        print_json("lineage", found)
        return
    made_from, running = found.provenance, found.running
    rows = [
        ("release", " ".join([f"{found.model}@{found.version}", *found.aliases])),
        ("bundle", found.bundle_id),
        ("file", found.file_sha256),
        *(("signed by", key) for key in found.signers),
        ("published", f"{when(found.published_at_s)} by {found.published_by}"),
        ("recipe", made_from.recipe),
        ("dataset", made_from.dataset),
        ("split", made_from.split),
        ("run", made_from.run),
        ("variant", made_from.variant),
    ]
    if running:
        who = f"rollout {running.rollout} of {running.ordered_by}" if running.rollout else "nobody"
        rows[:0] = [
            ("device", f"{running.device}, since {when(running.since_s)}"),
            ("ordered by", who),
        ]
    print_table("", ("what", "value"), rows)


@release.command()
@click.argument("reference")
@click.argument("alias")
@home_option
def propose(reference: str, alias: str, *, home: Path) -> None:
    """Propose that MODEL@ALIAS means release REFERENCE; another person approves it."""
    with opened(home) as office:
        made = office.aliases.propose(reference, alias, by=operator())
    click.echo(f"{made.model}@{made.alias} is to be {made.proposed_bundle_id[:12]}")


@release.command()
@click.argument("model")
@click.argument("alias")
@home_option
def approve(model: str, alias: str, *, home: Path) -> None:
    """Approve what another person proposed for MODEL@ALIAS."""
    with opened(home) as office:
        made = office.aliases.approve(model, alias, by=operator())
    click.echo(f"{made.model}@{made.alias} is {made.bundle_id[:12]}")


@release.command(name="aliases")
@home_option
@json_option
def list_aliases(*, home: Path, as_json: bool) -> None:
    """List aliases, and what is proposed for them."""
    with opened(home) as office:
        found = office.aliases.list()
    if as_json:
        print_json("aliases", {"aliases": found})
        return
    print_table(
        "",
        ("alias", "bundle", "by", "approved by", "proposed", "by"),
        [
            (
                f"{a.model}@{a.alias}",
                a.bundle_id[:12],
                a.set_by,
                a.approved_by,
                a.proposed_bundle_id[:12],
                a.proposed_by,
            )
            for a in found
        ],
    )
