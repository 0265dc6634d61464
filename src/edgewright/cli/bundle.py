"""`edgewright bundle`: the parcel, by hand."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._bundle_attestation import attest, extract, show_attestation
from edgewright.cli._bundle_encryption import (
    decrypt,
    encrypt,
    identity_option,
    keygen,
    password_option,
    show_head,
)
from edgewright.cli._bundle_registry import pull, push
from edgewright.cli._output import json_option, print_json, print_table

if TYPE_CHECKING:
    from edgewright.bundle import Bundle

_FILE = click.Path(path_type=Path)


@click.group()
def bundle() -> None:
    """Build, show, verify, compare, sign, encrypt and carry bundles."""


for command in (keygen, encrypt, decrypt, attest, extract, push, pull):
    bundle.add_command(command)


@bundle.command()
@click.option("--model", type=_FILE, required=True, help="Engine file (.onnx, reference .npz).")
@click.option(
    "--contract", "contract_path", type=_FILE, help="Contract (.toml, .json); inferred if absent."
)
@click.option("--golden", type=_FILE, help="Requests as .npz; the answers are computed now.")
@click.option("--drift", type=_FILE, help="Training windows as .npz, or a drift reference: the "
              "server then watches the model's inputs by it.")  # fmt: skip
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="The release's version.")
@click.option("--key", type=_FILE, help="Private key file to sign with; made if it is not there.")
@click.option("--hook", "hooks", type=_FILE, multiple=True,
              help="preprocess.py, postprocess.py, or a script of the agent's steps like "
                   "after_commit.py; a device may allow them.")  # fmt: skip
@click.option("--out", type=_FILE, required=True, help="The .ewb file to write.")
@json_option
def build(
    *,
    model: Path,
    contract_path: Path | None,
    golden: Path | None,
    drift: Path | None,
    name: str,
    version: str,
    key: Path | None,
    hooks: tuple[Path, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Build a bundle from an engine file.

    The model is loaded and, with --golden, run: what cannot run here is not packed.
    """
    from edgewright.chain.bundles import BuildOrder, build_from_file

    order = BuildOrder(
        model=model,
        contract=contract_path,
        golden=golden,
        name=name,
        version=version,
        key=key,
        hooks=hooks,
        drift=drift,
    )
    _show(build_from_file(order, out), as_json=as_json)


@bundle.command()
@click.argument("wheel", type=_FILE)
@click.option("--key", type=_FILE, help="Private key file to sign with; made when absent.")
@click.option("--out", type=_FILE, required=True, help="The .ewb file to write.")
@json_option
def package(*, wheel: Path, key: Path | None, out: Path, as_json: bool) -> None:
    """Pack a WHEEL of edgewright itself, for agents to update themselves by."""
    from edgewright.chain.bundles import signing_key
    from edgewright.chain.package import build_package

    signers = [signing_key(key)] if key else []
    _show(build_package(wheel, out, signers=signers), as_json=as_json)


@bundle.command()
@click.argument("path", type=_FILE)
@identity_option
@password_option
@json_option
def show(path: Path, *, identity: Path | None, password_file: Path | None, as_json: bool) -> None:
    """Show what a bundle holds; every hash is checked on the way.

    Of an encrypted one without --identity: what everybody may read of it.
    """
    from edgewright.bundle import is_sealed, open_bundle, read_head
    from edgewright.chain.bundles import content_key_of

    content_key = content_key_of(path, identity, password_file)
    if content_key is None and is_sealed(path):
        show_head(read_head(path), as_json=as_json)
    else:
        _show(open_bundle(path, content_key=content_key), as_json=as_json)


@bundle.command()
@click.argument("path", type=_FILE)
@click.option("--key", "keys", type=_FILE, multiple=True, help="Trusted public key file (.pub).")
@click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--openssf-key", type=_FILE, help="Public key (PEM) of its OpenSSF signature.")
@click.option("--policy", type=_FILE, help="A device's policy.toml that it must keep.")
@click.option("--board", default="", help="The board that the policy means, if it names none.")
@identity_option
@password_option
@json_option
def verify(
    path: Path,
    *,
    keys: tuple[Path, ...],
    threshold: int,
    openssf_key: Path | None,
    policy: Path | None,
    board: str,
    identity: Path | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Verify every hash, and what else is asked for: signatures, OpenSSF, a device's policy."""
    from edgewright.chain.bundles import Checks, content_key_of, verify_file

    checks = Checks(
        keys=keys, threshold=threshold, openssf_key=openssf_key, policy=policy, board=board
    )
    content_key = content_key_of(path, identity, password_file)
    result = verify_file(path, checks, content_key=content_key)
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
@click.option("--openssf", is_flag=True, help="As an OpenSSF model signature, inside the bundle.")
@json_option
def sign(path: Path, *, key: Path, openssf: bool, as_json: bool) -> None:
    """Add a signature; the bundle's id stays.

    With --openssf the files inside are signed, as model_signing does and checks it. That becomes
    part of the bundle and changes its id, so it comes first; its key is an elliptic curve key.
    """
    from edgewright.bundle import sign_bundle
    from edgewright.chain.attesting import sign_model_files
    from edgewright.chain.bundles import signing_key

    signed = sign_model_files(path, key) if openssf else sign_bundle(path, signing_key(key))
    _show(signed, as_json=as_json)


@bundle.command()
@click.argument("path", type=_FILE)
@click.option("--key", "keys", type=_FILE, multiple=True, help="Trusted public key file (.pub).")
@click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True)
@json_option
def provenance(path: Path, *, keys: tuple[Path, ...], threshold: int, as_json: bool) -> None:
    """Show the measured figures of a bundle's provenance, and that these keys vouch for them."""
    from edgewright.bundle import open_bundle
    from edgewright.chain.attesting import attestation_of
    from edgewright.chain.bundles import read_trusted

    trusted = read_trusted(keys, threshold) if keys else None
    found = attestation_of(open_bundle(path), trusted)
    if as_json:
        print_json("attestation", found)
    else:
        show_attestation(found)


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
        (f"evidence {e.name}", f"{e.value:g}{_unit(e.unit)} ({e.method}, {e.how})")
        for e in manifest.evidence
    ]
    print_table("", ("what", "value"), rows)


def _unit(unit: str) -> str:
    """Behind a number; a ratio's 1 says nothing there."""
    return "" if unit in ("", "1") else f" {unit}"
