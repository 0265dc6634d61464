"""OpenSSF model signatures over the files of a bundle."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edgewright.bundle import open_bundle
from edgewright.bundle.build import extend_bundle, extract_bundle
from edgewright.bundle.openssf import MEMBER, load_public, public_pem, sign_files, verify_files
from edgewright.chain.attesting import require_model_signature, sign_model_files
from edgewright.errors import InputError, TrustError
from edgewright.keys import FileSigner
from edgewright.keys.elliptic import EllipticSigner
from edgewright.testing.bundles import build_tiny


@pytest.fixture
def signer(tmp_path: Path) -> EllipticSigner:
    return EllipticSigner.create(tmp_path / "maker.pem")


@pytest.fixture
def unsigned(tmp_path: Path) -> Path:
    """A bundle without signatures of its own."""
    build_tiny(tmp_path / "signed.ewb")
    extend_bundle(tmp_path / "signed.ewb", tmp_path / "1.ewb", [("file", "note.txt", b"hello")])
    return tmp_path / "1.ewb"


def test_a_signature_travels_inside_and_speaks_of_every_other_file(
    unsigned: Path, signer: EllipticSigner, tmp_path: Path
) -> None:
    before = open_bundle(unsigned)
    bundle = sign_model_files(unsigned, tmp_path / "maker.pem")
    assert bundle.id != before.id
    assert [blob.name for blob in bundle.manifest.blobs][-1] == MEMBER
    require_model_signature(bundle, tmp_path / "maker.pub")
    extract_bundle(unsigned, tmp_path / "files")
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert names == {"model.npz", "golden.npz", "note.txt", MEMBER}


def test_other_files_are_named(unsigned: Path, signer: EllipticSigner) -> None:
    blobs = open_bundle(unsigned).manifest.blobs
    content = sign_files("tiny", blobs, signer)
    assert verify_files(content, blobs, signer.public) == "tiny"
    with pytest.raises(TrustError, match=r"note.txt' is missing"):
        verify_files(content, [b for b in blobs if b.name != "note.txt"], signer.public)
    others = sign_files("tiny", [b for b in blobs if b.name != "note.txt"], signer)
    with pytest.raises(TrustError, match=r"note.txt' is not signed"):
        verify_files(others, blobs, signer.public)
    changed = [
        *blobs[:-1],
        type(blobs[-1])(role="file", name="note.txt", sha256="0" * 64, size_bytes=5),
    ]
    with pytest.raises(TrustError, match=r"note.txt' is another one"):
        verify_files(content, changed, signer.public)


def test_another_key_and_a_changed_statement_are_refused(
    unsigned: Path, signer: EllipticSigner, tmp_path: Path
) -> None:
    blobs = open_bundle(unsigned).manifest.blobs
    content = sign_files("tiny", blobs, signer)
    other = EllipticSigner.create(tmp_path / "other.pem")
    with pytest.raises(TrustError, match="by key"):
        verify_files(content, blobs, other.public)
    for change, match in CHANGES.items():
        with pytest.raises(TrustError, match=match):
            verify_files(changed(content, change), blobs, signer.public)


def changed(content: bytes, what: str) -> bytes:
    file: dict[str, Any] = json.loads(content)
    envelope = file["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    match what:
        case "statement":
            statement["subject"][0]["name"] = "other"
            envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
        case "hint":
            del file["verificationMaterial"]["publicKey"]["hint"]
            envelope["signatures"][0]["sig"] = base64.b64encode(b"no").decode()
        case "type":
            file["mediaType"] = "text/plain"
        case "payload type":
            envelope["payloadType"] = "text/plain"
        case "certificate":
            file["verificationMaterial"] = {"certificate": {}}
        case "base64":
            envelope["payload"] = "*"
        case "none":
            envelope["signatures"] = []
        case "text":
            return b"hello"
    return json.dumps(file).encode()


CHANGES = {
    "statement": "does not fit its statement",
    "hint": "does not fit its statement",
    "type": "of type 'text/plain'",
    "payload type": "payload of type",
    "certificate": "not an OpenSSF signature by a key",
    "base64": "expected base64",
    "none": "0 signatures",
    "text": "not an OpenSSF signature",
}


def test_a_bundle_that_is_signed_already_is_left_alone(tmp_path: Path) -> None:
    build_tiny(tmp_path / "1.ewb")
    before = (tmp_path / "1.ewb").read_bytes()
    with pytest.raises(InputError, match="is signed already"):
        sign_model_files(tmp_path / "1.ewb", tmp_path / "maker.pem")
    assert (tmp_path / "1.ewb").read_bytes() == before


def test_a_bundle_without_one_says_so(tmp_path: Path, signer: EllipticSigner) -> None:
    build_tiny(tmp_path / "1.ewb")
    with pytest.raises(TrustError, match="carries no OpenSSF signature"):
        require_model_signature(open_bundle(tmp_path / "1.ewb"), tmp_path / "maker.pub")


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    FileSigner.create(tmp_path / "ed.pem")
    with pytest.raises(InputError, match="not an elliptic curve key"):
        EllipticSigner.load(tmp_path / "ed.pem")
    with pytest.raises(InputError, match="not a public key"):
        load_public(b"hello", source="here")
    koblitz = ec.generate_private_key(ec.SECP256K1()).public_key()
    with pytest.raises(InputError, match="expected an elliptic curve key of secp256r1"):
        load_public(public_pem(koblitz), source="here")
