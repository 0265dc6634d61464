"""`edgewright bundle keygen|encrypt|decrypt`: bundles that only their recipients read."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table

if TYPE_CHECKING:
    from edgewright.bundle import Head

_FILE = click.Path(path_type=Path)
identity_option = click.option(
    "--identity", type=_FILE, help="Private key file that opens an encrypted bundle."
)
password_option = click.option(
    "--password-file", type=_FILE, help="The key's password, in a file's first line."
)


@click.command()
@click.argument("path", type=_FILE)
@password_option
@json_option
def keygen(path: Path, *, password_file: Path | None, as_json: bool) -> None:
    """Make a key that opens bundles: PATH stays here, PATH's .pub is whom others encrypt to.

    Devices and fleets make their own: edgewright agent recipient, edgewright fleet recipient.
    """
    from edgewright.chain.bundles import make_opener

    made = make_opener(path, password_file)
    if as_json:
        print_json("recipient", {"recipient": made.text, "key_id": made.key_id})
    else:
        click.echo(made.text)


@click.command()
@click.argument("path", type=_FILE)
@click.option("--to", "recipients", multiple=True, required=True, metavar="RECIPIENT",
              help="ewr1:... or a file that holds it; may be repeated.")  # fmt: skip
@click.option("--out", type=_FILE, required=True, help="The encrypted .ewb to write.")
@json_option
def encrypt(path: Path, *, recipients: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Encrypt a bundle to RECIPIENTs: a fleet that publishes it, devices that take it by hand.

    Sign before, and publish or apply what comes out. The model's name, its version, the bundle's id
    and its size stay readable.
    """
    from edgewright.bundle import seal_bundle
    from edgewright.keys.opener import read_recipient

    head = seal_bundle(path, out, [read_recipient(text) for text in recipients])
    show_head(head, as_json=as_json)


@click.command()
@click.argument("path", type=_FILE)
@click.option("--identity", type=_FILE, required=True, help="A recipient's private key file.")
@password_option
@click.option("--out", type=_FILE, required=True, help="The plain .ewb to write.")
def decrypt(path: Path, *, identity: Path, password_file: Path | None, out: Path) -> None:
    """Write the bundle that an encrypted one holds; every byte is checked first."""
    from edgewright.chain.bundles import decrypt_file

    bundle = decrypt_file(path, out, identity=identity, password_file=password_file)
    click.echo(f"{out}: bundle {bundle.id[:12]}")


def show_head(head: "Head", *, as_json: bool) -> None:
    """What an encrypted bundle tells everybody."""
    if as_json:
        facts = {
            "bundle_id": head.bundle_id,
            "name": head.name,
            "version": head.version,
            "size_bytes": head.size_bytes,
            "recipients": [known.key_id for known in head.recipients],
        }
        print_json("encrypted-bundle", facts)
        return
    rows = [
        ("bundle", f"{head.bundle_id}, encrypted"),
        ("name", f"{head.name} {head.version}"),
        ("inside", f"{head.size_bytes} bytes"),
        *(("recipient", known.key_id[:12]) for known in head.recipients),
    ]
    print_table("", ("what", "value"), rows)
