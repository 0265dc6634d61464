"""`edgewright bundle attest|extract`: evidence that travels inside, and files for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.chain.attesting import Attestation

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("path", type=_FILE)
@click.option("--report", "reports", type=_FILE, multiple=True,
              help="A validation of this bundle (validate --out); may be repeated.")  # fmt: skip
@click.option("--board", default="", help="What it was measured on; the reports' word if absent.")
@click.option("--key", type=_FILE, required=True, help="Private key file; made when absent.")
@click.option("--out", type=_FILE, help="The .ewb to write; in place if absent.")
@json_option
def attest(
    path: Path, *, reports: tuple[Path, ...], board: str, key: Path, out: Path | None, as_json: bool
) -> None:
    """Put signed provenance into a bundle: what it was made of, and the measured figures.

    An in-toto statement (SLSA provenance v1) that a device's policy can ask for. The bundle gets
    another id and is signed with the same key; earlier signatures do not come along.
    """
    from edgewright.chain import attesting
    from edgewright.chain.bundles import signing_key

    made = attesting.attest_file(
        path, out or path, reports=reports, board=board, signer=signing_key(key)
    )
    if as_json:
        print_json("attestation", made)
    else:
        show_attestation(made)


@click.command()
@click.argument("path", type=_FILE)
@click.argument("folder", type=_FILE)
def extract(path: Path, folder: Path) -> None:
    """Write a bundle's files under their own names into a new FOLDER, for other tools."""
    from edgewright.bundle.build import extract_bundle

    bundle = extract_bundle(path, folder)
    click.echo(f"{folder}: {len(bundle.manifest.blobs)} files of {bundle.id[:12]}")


def show_attestation(found: "Attestation") -> None:
    """What was measured, for people."""
    say(f"bundle {found.bundle_id}")
    print_table(
        "",
        ("figure", "value", "unit", "low", "high", "board"),
        [
            (
                one.figure.name,
                f"{one.figure.value:g}",
                one.figure.unit,
                one.figure.low,
                one.figure.high,
                one.board,
            )
            for one in found.measurements
        ],
    )
