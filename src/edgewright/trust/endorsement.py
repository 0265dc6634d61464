"""That a key lies in a genuine TPM: its maker's word about the chip, and a secret that only this
chip can open while it holds that key (TPM 2.0 library, part 1, "Credential Protection").

A maker certifies a chip's *endorsement key*, which decrypts and never signs. A secret is wrapped
for it together with the *name* of the key that quotes: the hash of its public area, in which also
stands what it may do. The TPM gives the secret back only when it holds both.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from edgewright.errors import TrustError
from edgewright.trust.curves import public_key_of
from edgewright.trust.keys import PublicKey
from edgewright.trust.quote import Credential

SEED_BYTES = 32
SECRET_BYTES = 32
AREA_LIMIT_BYTES = 512
CERTIFICATE_LIMIT_BYTES = 16 << 10

_SHA256 = (0x000B).to_bytes(2, "big")
_FIXED_TPM, _FIXED_PARENT, _ORIGIN_TPM, _RESTRICTED, _DECRYPT, _SIGN = (
    1 << bit for bit in (1, 4, 5, 16, 17, 18)
)
_MUST = _FIXED_TPM | _FIXED_PARENT | _ORIGIN_TPM | _RESTRICTED | _SIGN
_CURVE = ec.SECP256R1()
_POINT_BYTES = 32
# Type ECC, names by SHA-256; no policy, no symmetric part, ECDSA with SHA-256, P-256, no KDF.
_HEAD = bytes.fromhex("0023000b")
_PARAMETERS = bytes.fromhex("000000100018000b00030010")
_MAKERS_PURPOSE = x509.ObjectIdentifier("2.23.133.8.1")  # tcg-kp-EKCertificate
_AES_BITS, _BLOCK_BYTES = 128, 16


def attestation_key(area: bytes) -> PublicKey:
    """The key of a public area (TPMT_PUBLIC), which must be one that was made in a TPM, cannot
    leave it, and signs only what the TPM itself wrote.

    Raises:
        TrustError: it is another kind of key.
    """
    attributes = int.from_bytes(area[len(_HEAD) : len(_HEAD) + 4], "big")
    if attributes & _MUST != _MUST or attributes & _DECRYPT:
        raise TrustError(
            "the key that quotes may do more than to sign what its TPM wrote, or can leave it",
            hint="remove HOME/tpm and enrol once more",
        )
    size = _POINT_BYTES.to_bytes(2, "big")
    head = _HEAD + area[len(_HEAD) : len(_HEAD) + 4] + _PARAMETERS
    point = area[len(head) :]
    x, y = point[2 : 2 + _POINT_BYTES], point[4 + _POINT_BYTES :]
    if area != head + size + x + size + y or len(y) != _POINT_BYTES:
        raise TrustError("the key that quotes is not one on P-256", hint="enrol once more")
    try:
        return public_key_of(ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\4" + x + y))
    except ValueError as error:
        raise TrustError("the key that quotes is no point of its curve") from error


def name_of(area: bytes) -> bytes:
    """A TPM's name for the object with this public area."""
    return _SHA256 + hashlib.sha256(area).digest()


def endorsed_key(certificate: bytes, makers: Sequence[bytes], *, now: datetime) -> RSAPublicKey:
    """The endorsement key that one of these makers (PEM) certified, from the chip's certificate
    (DER).

    Raises:
        TrustError: it is none, of nobody on the list, or not valid now.
    """
    chip = _read(certificate)
    if not any(_is_issued_by(chip, maker) for pem in makers for maker in _makers(pem)):
        raise TrustError(
            f"the chip's certificate is by {chip.issuer.rfc4514_string()[:120]!r}, which is not on "
            "the list of makers",
            hint="the security admin runs: edgewright fleet attest allow --maker FILE",
        )
    if not chip.not_valid_before_utc <= now <= chip.not_valid_after_utc:
        raise TrustError("the chip's certificate is not valid now", hint="check the clock")
    try:
        purposes = chip.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        purposes = x509.ExtendedKeyUsage([_MAKERS_PURPOSE])
    if _MAKERS_PURPOSE not in purposes:
        raise TrustError("the certificate is not one of an endorsement key")
    key = chip.public_key()
    if not isinstance(key, RSAPublicKey):
        raise TrustError("the chip's endorsement key is not RSA", hint="show its RSA certificate")
    return key


def makers_in(pem: bytes) -> tuple[str, ...]:
    """The names of the makers in a file of certificates.

    Raises:
        TrustError: it holds none, or one that may certify nobody.
    """
    found = _makers(pem)
    for maker in found:
        if not _is_authority(maker):
            raise TrustError(f"{maker.subject.rfc4514_string()[:120]!r} may certify nobody")
    return tuple(maker.subject.rfc4514_string() for maker in found)


def wrapped(secret: bytes, *, key: RSAPublicKey, area: bytes, seed: bytes) -> Credential:
    """A secret for the TPM that has this endorsement key and the key of this public area
    (TPM2_MakeCredential; the endorsement key's own symmetric part is AES-128).
    """
    name = name_of(area)
    hidden = _hidden(_sized(secret), _derived(seed, b"STORAGE", name, bits=_AES_BITS))
    outer = hmac.digest(_derived(seed, b"INTEGRITY", b"", bits=256), hidden + name, "sha256")
    label = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    return Credential(
        blob_hex=_sized(_sized(outer) + hidden).hex(),
        seed_hex=_sized(key.encrypt(seed, label)).hex(),
    )


def _hidden(content: bytes, key: bytes) -> bytes:
    """AES in the mode CFB from zeroes: a counter mode that is begun anew for each block."""
    hidden = previous = bytes(0)
    for at in range(0, len(content), _BLOCK_BYTES):
        mode = modes.CTR(previous or bytes(_BLOCK_BYTES))
        encryptor = Cipher(AES(key), mode).encryptor()
        previous = encryptor.update(content[at : at + _BLOCK_BYTES]) + encryptor.finalize()
        hidden += previous
    return hidden


def _derived(key: bytes, label: bytes, context: bytes, *, bits: int) -> bytes:
    """The first block of KDFa over SHA-256, which is enough for all that is derived here."""
    first = (1).to_bytes(4, "big")
    block = hmac.digest(key, first + label + b"\0" + context + bits.to_bytes(4, "big"), "sha256")
    return block[: bits // 8]


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _read(certificate: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise TrustError(f"the chip's certificate is none: {error}") from error


def _makers(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TrustError(f"no certificates of makers: {error}", hint="give a PEM file") from error


def _is_authority(maker: x509.Certificate) -> bool:
    try:
        return maker.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_issued_by(chip: x509.Certificate, maker: x509.Certificate) -> bool:
    try:
        chip.verify_directly_issued_by(maker)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return _is_authority(maker)
