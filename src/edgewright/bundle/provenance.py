"""Where a bundle comes from and what was measured of it: an in-toto statement that travels inside.

SLSA provenance v1 (who built what out of what) with the measured figures as an extension of it,
each with its protocol and the board that it was measured on. Signed by its maker as a DSSE envelope
it lies in the bundle as `provenance.intoto.json`; the manifest's hash covers it, so that nobody
takes it away or puts another one there. It speaks of the model file by its SHA-256.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from edgewright.bundle import dsse
from edgewright.bundle.manifest import Blob, Manifest
from edgewright.bundle.read import Bundle
from edgewright.contract import Evidence, encode_json
from edgewright.errors import TrustError
from edgewright.trust import Signature, Signer, TrustedKeys, verify_payload

MEMBER = "provenance.intoto.json"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://edgewright.dev/build/bundle/v1"
BUILDER = "https://edgewright.dev/bundle-attest/v1"
EXTENSION = "edgewright_measurements"


class Measurement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A figure and the board that it was measured on; "" when that says nothing about speed."""

    figure: Evidence
    board: str = ""


def attest(
    manifest: Manifest, measurements: Sequence[Measurement], signer: Signer, *, when: str
) -> bytes:
    """The signed statement of a bundle's maker, to be put into it."""
    statement = dsse.Statement(
        subject=tuple(
            dsse.Subject(name=blob.name, digest={"sha256": blob.sha256})
            for blob in _models(manifest.blobs)
        ),
        predicate_type=PREDICATE_TYPE,
        predicate={
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "name": manifest.name,
                    "version": manifest.version,
                    "format": manifest.format,
                    "precision": manifest.precision,
                },
                "resolvedDependencies": _origins(manifest),
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "metadata": {"finishedOn": when},
            },
            EXTENSION: msgspec.to_builtins(tuple(measurements)),
        },
    )
    payload = msgspec.json.encode(statement)
    signature = Signature.of(signer, dsse.pre_authentication(payload))
    return encode_json(
        dsse.Envelope(
            payload=dsse.base64_text(payload),
            payload_type=dsse.PAYLOAD_TYPE,
            signatures=(
                dsse.EnvelopeSignature(
                    sig=dsse.base64_text(bytes.fromhex(signature.signature_hex)),
                    keyid=signature.key_id,
                ),
            ),
        )
    )


def measurements_of(bundle: Bundle, trusted: TrustedKeys | None) -> tuple[Measurement, ...]:
    """What a bundle's statement says was measured. Without keys its hash in the bundle vouches for
    it, and with that whoever vouches for the bundle.

    Raises:
        TrustError: there is no statement, it is about another model, or too few of the keys signed.
    """
    carried = [blob for blob in bundle.manifest.blobs if blob.name == MEMBER]
    if not carried or carried[0].size_bytes > dsse.LIMIT_BYTES:
        raise TrustError(
            f"{bundle.manifest.name} {bundle.manifest.version} carries no provenance",
            hint="have its maker add it: edgewright bundle attest",
        )
    envelope = _envelope(bundle.read(carried[0]))
    payload = envelope.content()
    if trusted is not None:
        signatures = tuple(
            Signature(key_id=one.keyid, signature_hex=dsse.unbase64(one.sig).hex())
            for one in envelope.signatures
        )
        verify_payload(dsse.pre_authentication(payload), signatures, trusted)
    statement = dsse.Statement.parse(payload)
    _require_about(statement, bundle.manifest)
    return _measured(statement)


def _require_about(statement: dsse.Statement, manifest: Manifest) -> None:
    if statement.predicate_type != PREDICATE_TYPE:
        raise TrustError(
            f"provenance of type {statement.predicate_type[:80]!r}, expected {PREDICATE_TYPE}"
        )
    spoken_of = {subject.digest.get("sha256") for subject in statement.subject}
    if spoken_of != {blob.sha256 for blob in _models(manifest.blobs)}:
        raise TrustError(
            f"the provenance in {manifest.name} {manifest.version} is about another model",
            hint="attest this bundle itself: edgewright bundle attest",
        )


def _measured(statement: dsse.Statement) -> tuple[Measurement, ...]:
    try:
        predicate = msgspec.convert(statement.predicate, dict[str, Any])
        return msgspec.convert(predicate.get(EXTENSION, ()), tuple[Measurement, ...])
    except msgspec.ValidationError as error:
        raise TrustError(f"provenance: measurements: {error}") from error


def _envelope(content: bytes) -> dsse.Envelope:
    try:
        return msgspec.json.decode(content, type=dsse.Envelope)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TrustError(f"provenance: not a DSSE envelope: {error}") from error


def _models(blobs: Iterable[Blob]) -> list[Blob]:
    return [blob for blob in blobs if blob.role == "model"]


def _origins(manifest: Manifest) -> list[dict[str, Any]]:
    """What the model was made of, as far as the contract says."""
    known = manifest.contract.provenance
    parts = {"dataset": known.dataset, "run": known.run, "variant": known.variant}
    return [
        {"name": name, "uri": f"urn:edgewright:{name}:{value}"}
        for name, value in parts.items()
        if value
    ]
