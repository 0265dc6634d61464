"""Bundles by hand: from an engine file to a signed parcel, and back to what it says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.bundle import (
    DRIFT_BLOB,
    Bundle,
    Draft,
    Recipient,
    build_bundle,
    is_sealed,
    ml_bom,
    open_bundle,
    read_head,
    unseal_bundle,
    verify_signatures,
    with_bom,
)
from edgewright.bundle.golden import decode_golden, encode_golden
from edgewright.bundle.hooks import HOOK_FILES, SOURCE_LIMIT_BYTES, check_hook
from edgewright.bundle.manifest import Role
from edgewright.bundle.policy import InstallPolicy
from edgewright.chain import drift_reference
from edgewright.chain.attesting import require_model_signature
from edgewright.chain.contract_file import read_contract
from edgewright.chain.engines import FORMAT_BY_SUFFIX, open_engine_file
from edgewright.chain.hooks import with_hooks
from edgewright.chain.signing_keys import read_password
from edgewright.contract import Contract, decode_toml
from edgewright.errors import InputError
from edgewright.keys import FileOpener, FileSigner
from edgewright.keys.file import read_public_key
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel, answer_golden
from edgewright.runtimes.openvino_file import pack_parts, read_parts
from edgewright.trust import TrustedKeys

GOLDEN_LIMIT_BYTES = 64 << 20
POLICY_LIMIT_BYTES = 256 << 10


class BuildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `bundle build` was asked for."""

    model: Path
    name: str
    version: str
    contract: Path | None = None
    golden: Path | None = None
    key: Path | None = None
    precision: str = "as-is"
    hooks: tuple[Path, ...] = ()
    drift: Path | None = None
    """Training windows, or a reference that was made of them."""


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


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """What `bundle verify` was asked for beyond every hash."""

    keys: tuple[Path, ...] = ()
    threshold: int = 1
    openssf_key: Path | None = None
    policy: Path | None = None
    board: str = ""


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
    sources = {path.name: _hook(path) for path in order.hooks}
    model = _hooked(open_engine_file(order.model, contract), sources)
    try:
        contents: list[tuple[Role, str, bytes | Path]] = [_model_blob(order.model)]
        contents += [("hook", name, source) for name, source in sorted(sources.items())]
        if order.golden:
            golden = answer_golden(model, _requests(order.golden, model.contract))
            contents.append(("golden", "golden.npz", encode_golden(golden)))
        if order.drift:
            reference = drift_reference.reference_blob(
                order.drift, model.contract, model=order.name
            )
            contents.append(("file", DRIFT_BLOB, reference))
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


def _hook(path: Path) -> bytes:
    source = read_limited(path, limit_bytes=SOURCE_LIMIT_BYTES)
    check_hook(path.name, len(source))
    return source


def _hooked(model: LoadedModel, sources: Mapping[str, bytes]) -> LoadedModel:
    """The model as a device will run it: golden answers are those with its hooks."""
    by_kind = {HOOK_FILES[name]: source for name, source in sources.items() if name in HOOK_FILES}
    return with_hooks(model.contract, model.session, by_kind)


def _model_blob(path: Path) -> tuple[Role, str, bytes | Path]:
    """A bundle holds one model file; OpenVINO's two become one."""
    if FORMAT_BY_SUFFIX[path.suffix] == "openvino":
        return "model", f"{path.stem}.openvino.zip", pack_parts(*read_parts(path))
    return "model", path.name, path


def verify_file(path: Path, checks: Checks, *, content_key: bytes | None = None) -> Verification:
    """Check every hash, and what else is asked for.

    Raises:
        TrustError: something is not as it was promised, or a policy is not kept.
        InputError: a file is missing or none of its kind.
    """
    bundle = open_bundle(path, content_key=content_key)
    signed: tuple[str, ...] = ()
    if checks.keys:
        signed = verify_signatures(bundle, read_trusted(checks.keys, checks.threshold))
    if checks.openssf_key:
        require_model_signature(bundle, checks.openssf_key)
    if checks.policy:
        content = read_limited(checks.policy, limit_bytes=POLICY_LIMIT_BYTES)
        policy = decode_toml(content, InstallPolicy, source=str(checks.policy))
        policy.require(bundle, board=checks.board)
    return Verification(bundle_id=bundle.id, signed_by=signed)


def read_trusted(keys: Sequence[Path], threshold: int) -> TrustedKeys:
    """The keys of these files, as many of which must have signed.

    Raises:
        InputError: not public keys, one twice, or a threshold that they do not reach.
    """
    try:
        return TrustedKeys(threshold=threshold, keys=tuple(map(read_public_key, keys)))
    except ValueError as error:
        raise InputError(
            str(error), hint="give each key once and a threshold they reach"
        ) from error


def make_opener(path: Path, password_file: Path | None) -> Recipient:
    """A new key that opens bundles; whom to encrypt to.

    Raises:
        InputError: there is a file already.
    """
    return FileOpener.create(path, password=read_password(password_file)).recipient


def content_key_of(path: Path, identity: Path | None, password_file: Path | None) -> bytes | None:
    """What opens a bundle file with the private key of a recipient; None when it is not encrypted
    or no key is given.

    Raises:
        InputError: not such a key, or its password is missing or wrong.
        TrustError: the bundle is not encrypted to it, or its head was changed.
    """
    if identity is None or not is_sealed(path):
        return None
    opener = FileOpener.load(identity, password=read_password(password_file))
    return read_head(path).key_by(opener)


def decrypt_file(
    path: Path, out: Path, *, identity: Path, password_file: Path | None = None
) -> Bundle:
    """Write the bundle that an encrypted file holds.

    Raises:
        InputError: it is not encrypted, or the key is none.
        TrustError: it is not encrypted to this key, or was changed.
    """
    key = content_key_of(path, identity, password_file)
    if key is None:
        raise InputError(f"{path} is not encrypted", hint="use it as it is")
    return unseal_bundle(path, out, key)


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
