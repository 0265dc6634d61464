"""`edgewright release`: bundles that the fleet may offer."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._fleet import (
    Anywhere,
    Place,
    Shown,
    anywhere_options,
    fleet_at,
    fleet_command,
    listed,
    moment,
    operator,
    place_options,
    said,
    when,
)
from edgewright.cli._keys import access, names, password_option
from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.cli._release_mlflow import mlflow_export, mlflow_import

if TYPE_CHECKING:
    from edgewright.chain.signing_keys import Access
    from edgewright.contract import Provenance
    from edgewright.fleet.client import Fleet
    from edgewright.fleet.publishing import Publication
    from edgewright.fleet.registry import Release
    from edgewright.fleet.swu import SwuUpdate


@click.group()
def release() -> None:
    """Publish bundles, list releases, show where one came from."""


release.add_command(mlflow_export)
release.add_command(mlflow_import)


@release.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True,
              help="A keeper's private key (file or pkcs11: URI), to sign now.")  # fmt: skip
@password_option
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
@anywhere_options
@json_option
def publish(
    file: Path,
    *,
    keys: tuple[str, ...],
    password_file: Path | None,
    also: tuple[str, ...],
    swu_home: str,
    swu_program: str,
    swu_signer: tuple[Path, Path] | None,
    place: Anywhere,
    as_json: bool,
) -> None:
    """Verify a bundle FILE and offer it under its version. Publishing it again changes nothing.

    Where the fleet keeps an image repository, the bundle becomes a target of it first: it is
    offered once the keepers have signed, with --key here or with `trust sign` where they are; then
    publish it again. To a fleet elsewhere (--fleet) the file is sent; its keepers sign there. The
    key of --swu-signer stays on this machine in any case.
    """
    if place.url:
        if keys:
            raise click.UsageError("--key works in the fleet's folder, not with --fleet")
        with fleet_at(place) as elsewhere:
            made = elsewhere.publish(file)
    else:
        made = _published_here(file, names(keys), access(password_file), place)
    if also and made.release:
        update = _wrapped(made.release, place, swu_home, swu_program, swu_signer)
        signed = "signed" if update.is_signed else "not signed"
        say(f"for SWUpdate: {update.file}, {update.size_bytes} bytes, {signed}")
    if as_json:
        print_json("release", made.release or made)
    else:
        _tell(made, "HOME" if place.url else str(place.home))


def _published_here(
    file: Path, keys: "tuple[str, ...]", known: "Access", place: Anywhere
) -> "Publication":
    from edgewright.chain import releases
    from edgewright.chain.signing_keys import opened as opened_key

    with contextlib.ExitStack() as stack:
        signers = [stack.enter_context(opened_key(key, known)) for key in keys]
        return releases.publish(
            place.home, file, by=operator(), signers=signers, project=place.project
        )


def _wrapped(
    release: "Release",
    place: Anywhere,
    home: str,
    program: str,
    pair: tuple[Path, Path] | None,
) -> "SwuUpdate":
    from edgewright.fleet.registry import wrapped_of
    from edgewright.fleet.swu import SwuOrder, SwuPlaces, SwuSigner, description

    try:
        places = SwuPlaces(incoming=f"{home}/incoming", home=home, program=program)
    except ValueError as error:
        raise click.UsageError(f"--swu-home and --swu-program: {error}") from error
    signature = b""
    if pair is not None:
        signer = SwuSigner(certificate=pair[0], key=pair[1])
        signature = signer.sign(description(wrapped_of(release), places))
    with fleet_at(place) as fleet:
        return fleet.wrap_release(release.bundle_id, SwuOrder(places=places, signature=signature))


def _tell(made: "Publication", home: str) -> None:
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
    say(f"sign: edgewright trust sign {home}/image --key KEY; then publish it again")


_UNDIRECTED = "devices that no fleet directs; the fleet's own want --device NAME"


@release.command()
@click.argument("reference")
@click.option("--device", default="",
              help="The device that it is an order to; no other one of the fleet takes it. Without "
              "one the file is for devices that no fleet directs.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .ewx to write.")
@click.option("--days", type=NumberRange(min=0.01, max=366), default=30, show_default=True,
              help="How long the director's word holds on the way.")  # fmt: skip
@place_options
@json_option
def export(
    reference: str, *, device: str, out: Path, days: float, place: Place, as_json: bool
) -> None:
    """Write an air-gap file: a release with all the metadata that a device needs to believe it."""
    from edgewright.chain import releases

    label = releases.export(
        place.home,
        reference,
        device=device,
        out=out,
        days=days,
        by=operator(),
        project=place.project,
    )
    if as_json:
        print_json("parcel", {"path": str(out), "label": label})
    else:
        click.echo(f"{out}: {label.model}@{label.version} for {device or _UNDIRECTED}")


@fleet_command(release, name="list")
def list_releases(fleet: "Fleet") -> Shown:
    """List releases, newest first."""
    releases = fleet.releases()
    rows = [
        (
            r.text,
            f"{r.format}, {r.precision}",
            r.file_size_bytes,
            r.bundle_id[:12],
            when(r.published_at_s),
            r.published_by,
        )
        for r in releases
    ]
    columns = ("release", "engine", "bytes", "bundle", "published", "by")
    return listed("releases", {"releases": releases}, columns, rows)


@fleet_command(release)
@click.argument("reference")
def show(fleet: "Fleet", reference: str) -> Shown:
    """Show a release (MODEL@VERSION or a bundle id) back to its data, run and signatures."""
    found = fleet.release(reference)
    rows = [
        ("release", found.text),
        ("bundle", found.bundle_id),
        ("file", f"{found.file_sha256}, {found.file_size_bytes} bytes"),
        ("engine", f"{found.format}, {found.precision}"),
        ("published", f"{when(found.published_at_s)} by {found.published_by}"),
        *(("signed by", key) for key in found.signers),
        *_origin(found.provenance),
    ]
    return Shown("release", found, lambda: print_table("", ("what", "value"), rows))


@fleet_command(release)
@click.argument("reference")
@click.option("--model", default="", help="Which of a device's models; needed with several.")
@click.option("--at", "at", default="", help="What the device ran then, like 2026-01-31T06:10:00Z.")
def lineage(fleet: "Fleet", reference: str, *, model: str, at: str) -> Shown:
    """Show what made REFERENCE: MODEL@VERSION, the bundle id in an answer, or device:NAME."""
    kind, _, name = reference.partition(":")
    if kind == "device" and name:
        found = fleet.device_lineage(name, model=model, at_s=moment(at))
    else:
        found = fleet.release_lineage(reference)
    running = found.running
    rows = [
        ("release", " ".join([f"{found.model}@{found.version}", *found.aliases])),
        ("bundle", found.bundle_id),
        ("file", found.file_sha256),
        *(("signed by", key) for key in found.signers),
        ("published", f"{when(found.published_at_s)} by {found.published_by}"),
        *_origin(found.provenance),
    ]
    if running:
        who = f"rollout {running.rollout} of {running.ordered_by}" if running.rollout else "nobody"
        rows[:0] = [
            ("device", f"{running.device}, since {when(running.since_s)}"),
            ("ordered by", who),
        ]
    return Shown("lineage", found, lambda: print_table("", ("what", "value"), rows))


def _origin(made_from: "Provenance") -> tuple[tuple[str, str], ...]:
    return (
        ("recipe", made_from.recipe),
        ("dataset", made_from.dataset),
        ("split", made_from.split),
        ("run", made_from.run),
        ("variant", made_from.variant),
    )


@fleet_command(release)
@click.argument("reference")
@click.argument("alias")
def propose(fleet: "Fleet", reference: str, alias: str) -> Shown:
    """Propose that MODEL@ALIAS means release REFERENCE; another person approves it."""
    made = fleet.propose_alias(reference, alias)
    text = f"{made.model}@{made.alias} is to be {made.proposed_bundle_id[:12]}"
    return said("alias", made, text)


@fleet_command(release)
@click.argument("reference")
@click.argument("alias")
def approve(fleet: "Fleet", reference: str, alias: str) -> Shown:
    """Approve that MODEL@ALIAS means release REFERENCE, as another person proposed."""
    made = fleet.approve_alias(reference, alias)
    return said("alias", made, f"{made.model}@{made.alias} is {made.bundle_id[:12]}")


@fleet_command(release, name="aliases")
def list_aliases(fleet: "Fleet") -> Shown:
    """List aliases, and what is proposed for them."""
    found = fleet.aliases()
    rows = [
        (
            f"{a.model}@{a.alias}",
            a.bundle_id[:12],
            a.set_by,
            a.approved_by,
            a.proposed_bundle_id[:12],
            a.proposed_by,
        )
        for a in found
    ]
    columns = ("alias", "bundle", "by", "approved by", "proposed", "by")
    return listed("aliases", {"aliases": found}, columns, rows)
