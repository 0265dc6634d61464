"""`edgewright bundle push|pull`: bundles to and from OCI registries."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from edgewright.cli._output import json_option, print_json

F = TypeVar("F", bound=Callable[..., object])

_FILE = click.Path(path_type=Path)


def _access_options(function: F) -> F:
    for option in (
        click.option("--ca", type=_FILE, help="Authority of the registry's name, if needed (PEM)."),
        click.option("--password-file", type=_FILE, help="The password, in a file's first line."),
        click.option("--user", default="", help="Who asks, where the registry wants to know."),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("address")
@click.argument("path", type=_FILE)
@_access_options
@json_option
def push(
    address: str,
    path: Path,
    *,
    user: str,
    password_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Put a bundle into an OCI registry: ADDRESS is oci://HOST/REPOSITORY:TAG.

    Plain HTTP on loopback, HTTPS elsewhere. What the registry has already is not sent again.
    """
    from edgewright.chain.carrying import Access
    from edgewright.chain.carrying import push as put

    made = put(path, address, Access(user=user, password_file=password_file, authority=ca))
    if as_json:
        print_json("bundle-pushed", made)
    else:
        click.echo(f"{made.address}: bundle {made.bundle_id[:12]}, manifest {made.digest}")


@click.command()
@click.argument("address")
@click.option("--out", type=_FILE, required=True, help="The .ewb to write.")
@_access_options
@json_option
def pull(
    address: str,
    *,
    out: Path,
    user: str,
    password_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Bring a bundle from an OCI registry: ADDRESS ends in :TAG, or in @sha256:DIGEST.

    Every digest is checked. After a cut the same command goes on where it was.
    """
    from edgewright.chain.carrying import Access
    from edgewright.chain.carrying import pull as get

    made = get(address, out, Access(user=user, password_file=password_file, authority=ca))
    if as_json:
        print_json("bundle-pulled", made)
    else:
        click.echo(f"{out}: {made.name} {made.version}, bundle {made.bundle_id[:12]}")
