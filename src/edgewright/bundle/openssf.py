"""The OpenSSF model signature: over the files of a bundle, as the tool `model_signing` writes and
reads it.

It lies in the bundle as the file `model.sig` and speaks of every other one by name and SHA-256, so
it needs no bundle: extracted into a folder, `model_signing verify` checks the files with it. A
device checks it against the manifest's hashes with `cryptography` alone. Keys are elliptic curve
keys, as that tool wants them; the bundle's own signatures are something else and cover this one.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgewright.bundle import dsse
from edgewright.bundle.manifest import Blob
from edgewright.contract import encode_json
from edgewright.errors import InputError, TrustError

MEMBER = "model.sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

_CURVES: Mapping[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_HINT = "it was made for other files, or changed since"


class ModelSigner(Protocol):
    """Whoever holds an elliptic curve key."""

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign_ecdsa(self, payload: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        """The signature (DER) over these bytes."""


class _PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    hint: str = ""


class _Material(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    public_key: _PublicKey
    tlog_entries: tuple[Any, ...] = ()


class _SignatureFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: dsse.Envelope


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: tuple[str, ...] = ()


class _Predicate(msgspec.Struct, frozen=True, kw_only=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]


def sign_files(name: str, blobs: Iterable[Blob], signer: ModelSigner) -> bytes:
    """The signature file of a model that consists of these blobs."""
    resources = tuple(
        _Resource(name=blob.name, algorithm="sha256", digest=blob.sha256)
        for blob in sorted(blobs, key=lambda known: known.name)
        if blob.name != MEMBER
    )
    predicate = _Predicate(
        serialization=_Serialization(
            method="files", hash_type="sha256", allow_symlinks=False, ignore_paths=(MEMBER,)
        ),
        resources=resources,
    )
    statement = dsse.Statement(
        subject=(dsse.Subject(name=name, digest={"sha256": _root_of(resources)}),),
        predicate_type=PREDICATE_TYPE,
        predicate=msgspec.to_builtins(predicate),
    )
    payload = msgspec.json.encode(statement)
    signature = signer.sign_ecdsa(dsse.pre_authentication(payload), _algorithm(signer.public))
    return encode_json(
        _SignatureFile(
            media_type=MEDIA_TYPE,
            verification_material=_Material(public_key=_PublicKey(hint=_hint_of(signer.public))),
            dsse_envelope=dsse.Envelope(
                payload=dsse.base64_text(payload),
                payload_type=dsse.PAYLOAD_TYPE,
                signatures=(dsse.EnvelopeSignature(sig=dsse.base64_text(signature)),),
            ),
        )
    )


def verify_files(content: bytes, blobs: Iterable[Blob], public: ec.EllipticCurvePublicKey) -> str:
    """Pass when this key signed exactly these blobs; returns the name that it gave to the model.

    Raises:
        TrustError: another key, other files, or not such a signature.
    """
    statement = dsse.Statement.parse(_signed_payload(content, public))
    predicate = _predicate_of(statement)
    signed = {resource.name: resource.digest for resource in predicate.resources}
    found = {blob.name: blob.sha256 for blob in blobs if blob.name != MEMBER}
    for name in sorted(signed.keys() | found.keys()):
        if signed.get(name) != found.get(name):
            what = (
                "is not signed"
                if name not in signed
                else ("is missing" if name not in found else "is another one")
            )
            raise TrustError(f"OpenSSF signature: file {name[:80]!r} {what}", hint=_HINT)
    return statement.subject[0].name


def load_public(pem: bytes, *, source: str) -> ec.EllipticCurvePublicKey:
    """A public key that model signatures can be checked with.

    Raises:
        InputError: it is none.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise InputError(f"{source}: not a public key (PEM)", hint="give the .pub file") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise InputError(
            f"{source}: expected an elliptic curve key of {', '.join(_CURVES)}",
            hint="OpenSSF model signatures are made with no other kind",
        )
    return key


def public_pem(public: ec.EllipticCurvePublicKey) -> bytes:
    """The one text of a public key."""
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _signed_payload(content: bytes, public: ec.EllipticCurvePublicKey) -> bytes:
    if len(content) > dsse.LIMIT_BYTES:
        raise TrustError(f"OpenSSF signature: more than {dsse.LIMIT_BYTES} bytes")
    try:
        file = msgspec.json.decode(content, type=_SignatureFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TrustError(f"not an OpenSSF signature by a key: {error}") from error
    if file.media_type != MEDIA_TYPE:
        raise TrustError(f"OpenSSF signature of type {file.media_type[:80]!r}")
    hint = file.verification_material.public_key.hint
    if hint and hint != _hint_of(public):
        raise TrustError(
            f"OpenSSF signature by key {hint[:12]}, expected {_hint_of(public)[:12]}",
            hint="ask its maker for the right public key",
        )
    payload = file.dsse_envelope.content()
    signature = dsse.unbase64(file.dsse_envelope.signatures[0].sig)
    try:
        public.verify(signature, dsse.pre_authentication(payload), ec.ECDSA(_algorithm(public)))
    except InvalidSignature as error:
        raise TrustError("the OpenSSF signature does not fit its statement", hint=_HINT) from error
    return payload


def _predicate_of(statement: dsse.Statement) -> _Predicate:
    if statement.predicate_type != PREDICATE_TYPE or len(statement.subject) != 1:
        raise TrustError(f"not a model signature: {statement.predicate_type[:80]!r}")
    try:
        predicate = msgspec.convert(statement.predicate, _Predicate)
    except msgspec.ValidationError as error:
        raise TrustError(f"OpenSSF signature: {error}") from error
    if predicate.serialization.method != "files" or any(
        resource.algorithm != "sha256" for resource in predicate.resources
    ):
        raise TrustError(
            "OpenSSF signature: expected whole files by sha256",
            hint="sign it so: edgewright bundle sign --openssf",
        )
    if statement.subject[0].digest.get("sha256") != _root_of(predicate.resources):
        raise TrustError("OpenSSF signature: its files do not make up its subject", hint=_HINT)
    return predicate


def _root_of(resources: Iterable[_Resource]) -> str:
    digest = hashlib.sha256()
    for resource in resources:
        try:
            digest.update(bytes.fromhex(resource.digest))
        except ValueError as error:
            raise TrustError("OpenSSF signature: a digest that is no hex") from error
    return digest.hexdigest()


def _hint_of(public: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(public_pem(public)).hexdigest()


def _algorithm(public: ec.EllipticCurvePublicKey) -> hashes.HashAlgorithm:
    return _CURVES[public.curve.name]
