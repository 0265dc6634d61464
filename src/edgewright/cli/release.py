"""`edgewright release`: bundles that the fleet may offer."""

from pathlib import Path

import click

from edgewright.cli._fleet import home_option, opened, operator, when
from edgewright.cli._output import json_option, print_json, print_table


@click.group()
def release() -> None:
    """Publish bundles, list releases, show where one came from."""


@release.command()
@click.argument("file", type=click.Path(path_type=Path))
@home_option
@json_option
def publish(file: Path, *, home: Path, as_json: bool) -> None:
    """Verify a bundle FILE and offer it under its version. Publishing it again changes nothing."""
    with opened(home) as office:
        made = office.registry.publish(file, by=operator())
    if as_json:
        print_json("release", made)
    else:
        keys = ", ".join(key[:12] for key in made.signers)
        click.echo(f"{made.text}: bundle {made.bundle_id[:12]}, signed by {keys}")


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
