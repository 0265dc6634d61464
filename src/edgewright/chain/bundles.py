"""Bundles by hand: from an engine file to a signed parcel, and back to what it says."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.bundle import (
    Bundle,
    Draft,
    build_bundle,
    ml_bom,
    open_bundle,
    verify_signatures,
    with_bom,
)
from edgewright.bundle.golden import decode_golden, encode_golden
from edgewright.bundle.manifest import Role
from edgewright.chain.contract_file import read_contract
from edgewright.chain.engines import FORMAT_BY_SUFFIX, open_engine_file
from edgewright.contract import Contract
from edgewright.errors import InputError
from edgewright.keys import FileSigner
from edgewright.keys.file import read_public_key
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import answer_golden
from edgewright.runtimes.openvino_file import pack_parts, read_parts
from edgewright.trust import TrustedKeys

GOLDEN_LIMIT_BYTES = 64 << 20


class BuildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `bundle build` was asked for."""

    model: Path
    name: str
    version: str
    contract: Path | None = None
    golden: Path | None = None
    key: Path | None = None
    precision: str = "as-is"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says about itself, for people and programs."""

    bundle_id: str
    name: str
    version: str
    format: str
    precision: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    blobs: tuple[tuple[str, str, int], ...]
    signed_by: tuple[str, ...]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of `bundle verify`; a failure is an error instead."""

    bundle_id: str
    signed_by: tuple[str, ...]


def build_from_file(order: BuildOrder, out: Path) -> Bundle:
    """Load the model, run the golden requests if there are any, write the bundle.

    Raises:
        InputError: a file is missing or wrong, or the model does not keep the contract.
    """
    contract = read_contract(order.contract) if order.contract else None
    signers = [signing_key(order.key)] if order.key else []
    model = open_engine_file(order.model, contract)
    try:
        contents: list[tuple[Role, str, bytes | Path]] = [_model_blob(order.model)]
        if order.golden:
            golden = answer_golden(model, _requests(order.golden, model.contract))
            contents.append(("golden", "golden.npz", encode_golden(golden)))
        draft = Draft(
            name=order.name,
            version=order.version,
            format=FORMAT_BY_SUFFIX[order.model.suffix],
            precision=order.precision,
            contract=model.contract,
        )
    finally:
        model.close()
    build_bundle(out, draft, with_bom(draft, contents), signers=signers)
    return open_bundle(out)


def _model_blob(path: Path) -> tuple[Role, str, bytes | Path]:
    """A bundle holds one model file; OpenVINO's two become one."""
    if FORMAT_BY_SUFFIX[path.suffix] == "openvino":
        return "model", f"{path.stem}.openvino.zip", pack_parts(*read_parts(path))
    return "model", path.name, path


def verify_file(path: Path, keys: Sequence[Path], threshold: int) -> Verification:
    """Check every hash, and the signatures when keys are given."""
    bundle = open_bundle(path)
    signed: tuple[str, ...] = ()
    if keys:
        try:
            trusted = TrustedKeys(
                threshold=threshold, keys=tuple(read_public_key(key) for key in keys)
            )
        except ValueError as error:
            raise InputError(
                str(error), hint="give each key once and a threshold they reach"
            ) from error
        signed = verify_signatures(bundle, trusted)
    return Verification(bundle_id=bundle.id, signed_by=signed)


def signing_key(path: Path) -> FileSigner:
    """The private key of a file, made now when there is none."""
    return FileSigner.load(path) if path.exists() else FileSigner.create(path)


def bill_of(bundle: Bundle) -> bytes:
    """The bill of materials that a bundle carries; of an older one without, the one it would."""
    carried = [blob for blob in bundle.manifest.blobs if blob.role == "sbom"]
    if carried:
        return bundle.read(carried[0])
    return ml_bom(bundle.manifest, bundle.manifest.blobs)


def summarise(bundle: Bundle) -> Summary:
    """The facts of a bundle in one flat value."""
    manifest = bundle.manifest
    return Summary(
        bundle_id=bundle.id,
        name=manifest.name,
        version=manifest.version,
        format=manifest.format,
        precision=manifest.precision,
        inputs=tuple(f"{t.name} {t.dtype} {list(t.shape)}" for t in manifest.contract.inputs),
        outputs=tuple(f"{t.name} {t.dtype} {list(t.shape)}" for t in manifest.contract.outputs),
        blobs=tuple((blob.role, blob.name, blob.size_bytes) for blob in manifest.blobs),
        signed_by=tuple(signature.key_id for signature in bundle.signatures),
    )


def _requests(path: Path, contract: Contract) -> dict[str, Array]:
    """Request arrays from an `.npz` (names of the contract's inputs, or golden vectors)."""
    content = read_limited(path, limit_bytes=GOLDEN_LIMIT_BYTES)
    arrays = decode_npz(content, source=str(path))
    if any(name.startswith("in:") for name in arrays):
        return dict(decode_golden(content).inputs)
    wanted = [tensor.name for tensor in contract.inputs]
    if missing := [name for name in wanted if name not in arrays]:
        raise InputError(
            f"{path}: no array for input(s) {missing}, it has {sorted(arrays)}",
            hint="name the arrays like the contract's inputs",
        )
    return {name: arrays[name] for name in wanted}
