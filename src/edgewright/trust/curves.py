"""Public keys as the cryptography library knows them: Ed25519 and P-256.

Apart from `keys`, because the library takes 5 MB that a process which checks no signature can do
without.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgewright.trust.keys import PublicKey


def public_key_of(key: object) -> PublicKey:
    """From the library's key.

    Raises:
        ValueError: it is of another kind.
    """
    if isinstance(key, Ed25519PublicKey):
        return PublicKey(public_hex=key.public_bytes_raw().hex())
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        point = key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return PublicKey(public_hex=point.hex(), scheme="ecdsa-sha2-nistp256")
    raise ValueError(f"expected an Ed25519 or a P-256 key, got {type(key).__name__}")


def loaded(key: PublicKey) -> Ed25519PublicKey | EllipticCurvePublicKey:
    """The key as the library takes it.

    Raises:
        ValueError: no point of the curve.
    """
    content = bytes.fromhex(key.public_hex)
    if key.scheme == "ed25519":
        return Ed25519PublicKey.from_public_bytes(content)
    try:
        return EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), content)
    except ValueError as error:
        raise ValueError("a public P-256 key is a point of its curve, this is none") from error


def pem_of(key: PublicKey) -> str:
    """The key as other programs read it."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return loaded(key).public_bytes(serialization.Encoding.PEM, info).decode()


def accepts(key: PublicKey, signature: bytes, payload: bytes) -> bool:
    """Whether the key's other half made this signature over these bytes."""
    library_key = loaded(key)
    try:
        if isinstance(library_key, Ed25519PublicKey):
            library_key.verify(signature, payload)
        else:
            library_key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
