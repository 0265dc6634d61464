"""`edgewright bundle`: the parcel, by hand."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table

if TYPE_CHECKING:
    from edgewright.bundle import Bundle

_FILE = click.Path(path_type=Path)


@click.group()
def bundle() -> None:
    """Build, show, verify, compare and sign bundles."""


@bundle.command()
@click.option("--model", type=_FILE, required=True, help="Engine file (.onnx, reference .npz).")
@click.option(
    "--contract", "contract_path", type=_FILE, help="Contract (.toml, .json); inferred if absent."
)
@click.option("--golden", type=_FILE, help="Requests as .npz; the answers are computed now.")
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="The release's version.")
@click.option("--key", type=_FILE, help="Private key file to sign with.")
@click.option("--out", type=_FILE, required=True, help="The .ewb file to write.")
@json_option
def build(
    *,
    model: Path,
    contract_path: Path | None,
    golden: Path | None,
    name: str,
    version: str,
    key: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Build a bundle from an engine file.

    The model is loaded and, with --golden, run: what cannot run here is not packed.
    """
    from edgewright.chain.bundles import BuildOrder, build_from_file

    order = BuildOrder(
        model=model, contract=contract_path, golden=golden, name=name, version=version, key=key
    )
    _show(build_from_file(order, out), as_json=as_json)


@bundle.command()
@click.argument("path", type=_FILE)
@json_option
def show(path: Path, *, as_json: bool) -> None:
    """Show what a bundle holds; every hash is checked on the way."""
    from edgewright.bundle import open_bundle

    _show(open_bundle(path), as_json=as_json)


@bundle.command()
@click.argument("path", type=_FILE)
@click.option("--key", "keys", type=_FILE, multiple=True, help="Trusted public key file (.pub).")
@click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True)
@json_option
def verify(path: Path, *, keys: tuple[Path, ...], threshold: int, as_json: bool) -> None:
    """Verify every hash, and the signatures against the given public keys."""
    from edgewright.chain.bundles import verify_file

    result = verify_file(path, keys, threshold)
    if as_json:
        print_json("bundle-verification", result)
    else:
        signed = ", ".join(key[:12] for key in result.signed_by) or "nobody was asked to be trusted"
        click.echo(f"{path}: whole; bundle {result.bundle_id[:12]}; signed by: {signed}")


@bundle.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@json_option
def diff(before: Path, after: Path, *, as_json: bool) -> None:
    """Show what changed between two bundles."""
    from edgewright.bundle import diff_bundles, open_bundle

    differences = diff_bundles(open_bundle(before), open_bundle(after))
    if as_json:
        print_json("bundle-diff", {"differences": differences})
    else:
        print_table(
            "", ("place", "before", "after"), [(d.place, d.before, d.after) for d in differences]
        )


@bundle.command()
@click.argument("path", type=_FILE)
@click.option("--out", type=_FILE, help="Write it there instead of printing it.")
def bom(*, path: Path, out: Path | None) -> None:
    """Show the bill of materials of a bundle, as CycloneDX 1.6 JSON."""
    from edgewright import _fs
    from edgewright.bundle import open_bundle
    from edgewright.chain.bundles import bill_of

    content = bill_of(open_bundle(path))
    if out:
        _fs.write_atomic(out, content)
    else:
        click.echo(content.decode())


@bundle.command()
@click.argument("path", type=_FILE)
@click.option("--key", type=_FILE, required=True, help="Private key file; made when absent.")
@json_option
def sign(path: Path, *, key: Path, as_json: bool) -> None:
    """Add a signature; the bundle's id stays."""
    from edgewright.bundle import sign_bundle
    from edgewright.chain.bundles import signing_key

    _show(sign_bundle(path, signing_key(key)), as_json=as_json)


def _show(opened: "Bundle", *, as_json: bool) -> None:
    from edgewright.chain.bundles import summarise

    summary = summarise(opened)
    if as_json:
        print_json("bundle", summary)
        return
    manifest = opened.manifest
    rows = [
        ("bundle", opened.id),
        ("name", f"{manifest.name} {manifest.version}"),
        ("engine", f"{manifest.format}, {manifest.precision}"),
        ("inputs", ", ".join(summary.inputs)),
        ("outputs", ", ".join(summary.outputs)),
        ("signed by", ", ".join(key[:12] for key in summary.signed_by) or "nobody"),
    ]
    rows += [(f"blob {b.role}", f"{b.name}, {b.size_bytes} bytes") for b in manifest.blobs]
    rows += [
        (f"evidence {e.name}", f"{e.value:g} {e.unit} ({e.method}, {e.how})")
        for e in manifest.evidence
    ]
    print_table("", ("what", "value"), rows)
