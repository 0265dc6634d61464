"""What makers add to a bundle before it is released: provenance with measured figures, an OpenSSF
model signature. Both become part of it and change its id.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.build import extend_bundle
from edgewright.bundle.openssf import MEMBER as MODEL_SIGNATURE
from edgewright.bundle.openssf import load_public, sign_files, verify_files
from edgewright.bundle.provenance import MEMBER as PROVENANCE
from edgewright.bundle.provenance import Measurement, attest, measurements_of
from edgewright.clock import SystemClock, iso
from edgewright.errors import InputError, TrustError
from edgewright.keys.elliptic import EllipticSigner
from edgewright.trust import Signer, TrustedKeys
from edgewright.validate.report import read_report

KEY_LIMIT_BYTES = 16 * 1024


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle's provenance says: who signed it, and the figures."""

    bundle_id: str
    measurements: tuple[Measurement, ...]


def attest_file(
    path: Path, out: Path, *, reports: Sequence[Path], board: str, signer: Signer
) -> Attestation:
    """Put a signed statement into a bundle: its own evidence, and the figures of validations.

    Raises:
        InputError: a report is none, was not sound, or is about another model.
        TrustError: a byte of the bundle is wrong.
    """
    manifest = open_bundle(path).manifest
    measurements = [Measurement(figure=figure) for figure in manifest.evidence]
    for report in reports:
        measurements += _figures(report, manifest.name, board)
    when = iso(SystemClock().wall_s())
    content = attest(manifest, measurements, signer, when=when)
    made = extend_bundle(path, out, [("evidence", PROVENANCE, content)], signers=[signer])
    return Attestation(bundle_id=made.id, measurements=tuple(measurements))


def attestation_of(bundle: Bundle, trusted: TrustedKeys | None) -> Attestation:
    """What a bundle's provenance says.

    Raises:
        TrustError: it carries none, or too few of the keys signed it.
    """
    return Attestation(bundle_id=bundle.id, measurements=measurements_of(bundle, trusted))


def sign_model_files(path: Path, key: Path, *, password: str | None = None) -> Bundle:
    """Put an OpenSSF signature over a bundle's files into it; the key is made when absent.

    Raises:
        InputError: not such a key, or the bundle is signed already.
        TrustError: a byte of the bundle is wrong.
    """
    bundle = open_bundle(path)
    if bundle.signatures:
        raise InputError(
            f"{path} is signed already ({bundle.signatures[0].key_id[:12]}), and an OpenSSF "
            "signature changes its id",
            hint="sign with --openssf first, then without",
        )
    signer = (
        EllipticSigner.load(key, password=password)
        if key.exists()
        else EllipticSigner.create(key, password=password)
    )
    name = f"{bundle.manifest.name}-{bundle.manifest.version}"
    content = sign_files(name, bundle.manifest.blobs, signer)
    return extend_bundle(path, path, [("file", MODEL_SIGNATURE, content)])


def require_model_signature(bundle: Bundle, key: Path) -> None:
    """Pass when a bundle carries an OpenSSF signature of this public key over all its files.

    Raises:
        InputError: not such a key.
        TrustError: there is none, by another key, or of other files.
    """
    public = load_public(read_limited(key, limit_bytes=KEY_LIMIT_BYTES), source=str(key))
    carried = [blob for blob in bundle.manifest.blobs if blob.name == MODEL_SIGNATURE]
    if not carried:
        raise TrustError(
            f"{bundle.manifest.name} {bundle.manifest.version} carries no OpenSSF signature",
            hint="add it: edgewright bundle sign --openssf",
        )
    verify_files(bundle.read(carried[0]), bundle.manifest.blobs, public)


def _figures(path: Path, model: str, board: str) -> list[Measurement]:
    report = read_report(path)
    if report.outcome == "INVALID" or report.is_partial:
        raise InputError(
            f"{path}: this validation was not sound, its figures say nothing",
            hint="run it again: edgewright validate ... --out FILE",
        )
    if report.model != model:
        raise InputError(
            f"{path} is about model {report.model!r}, the bundle is {model!r}",
            hint="give the report of a validation of this bundle",
        )
    where = board or report.machine.board
    return [Measurement(figure=figure, board=where) for figure in report.figures]
