"""Public keys, signatures, and the set of keys a device trusts."""

import hashlib
from typing import Literal, Protocol

import msgspec

_HEX_DIGITS = frozenset("0123456789abcdef")


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An Ed25519 public key."""

    public_hex: str
    scheme: Literal["ed25519"] = "ed25519"

    def __post_init__(self) -> None:
        if len(self.public_hex) != 64 or not _HEX_DIGITS.issuperset(self.public_hex):
            raise ValueError("a public Ed25519 key is 64 lower-case hex digits")

    @property
    def key_id(self) -> str:
        """The key's name: SHA-256 of its canonical JSON, the id that TUF gives it."""
        canonical = (
            f'{{"keytype":"ed25519","keyval":{{"public":"{self.public_hex}"}},"scheme":"ed25519"}}'
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    def accepts(self, signature_hex: str, payload: bytes) -> bool:
        """Whether this key's other half made this signature over these bytes."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # 5 MB, rarely needed
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
            Ed25519PublicKey,
        )

        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_hex))
        try:
            key.verify(bytes.fromhex(signature_hex), payload)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(Protocol):
    """Whoever holds a private key: a file, a token, a chip."""

    @property
    def public(self) -> PublicKey:
        """The public half."""

    def sign(self, payload: bytes) -> bytes:
        """The signature over these bytes."""


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key's signature over some payload."""

    key_id: str
    signature_hex: str

    @classmethod
    def of(cls, signer: Signer, payload: bytes) -> "Signature":
        """A new signature over the payload."""
        return cls(key_id=signer.public.key_id, signature_hex=signer.sign(payload).hex())


class TrustedKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys whose word counts, and how many of them must agree."""

    threshold: int
    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        distinct = {key.key_id for key in self.keys}
        if len(distinct) != len(self.keys):
            raise ValueError("a trusted key is listed twice; one key counts once")
        if not 1 <= self.threshold <= len(self.keys):
            raise ValueError(f"threshold is {self.threshold}, expected 1 to {len(self.keys)}")
