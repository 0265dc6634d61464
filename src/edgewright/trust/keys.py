"""Public keys, signatures, and the set of keys a device trusts."""

import hashlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal, Protocol

import msgspec

Scheme = Literal["ed25519", "ecdsa-sha2-nistp256"]

_HEX_DIGITS = frozenset("0123456789abcdef")
_HEX_LENGTH: Mapping[str, int] = {"ed25519": 64, "ecdsa-sha2-nistp256": 130}


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An Ed25519 key, as its 32 bytes; or one on the curve P-256, as its uncompressed point, for
    chips and tokens that know no Ed25519.
    """

    public_hex: str
    scheme: Scheme = "ed25519"

    def __post_init__(self) -> None:
        length = _HEX_LENGTH.get(self.scheme)
        if length is None:
            raise ValueError(f"scheme {self.scheme!r}: expected one of {', '.join(_HEX_LENGTH)}")
        if len(self.public_hex) != length or not _HEX_DIGITS.issuperset(self.public_hex):
            name = "Ed25519" if self.scheme == "ed25519" else "P-256"
            raise ValueError(f"a public {name} key is {length} lower-case hex digits")
        if self.scheme != "ed25519":
            _curves().loaded(self)

    @property
    def key_id(self) -> str:
        """The key's name: SHA-256 of its canonical JSON, the id that TUF gives it."""
        fields = self.tuf_fields
        canonical = (
            f'{{"keytype":"{fields["keytype"]}",'
            f'"keyval":{{"public":"{fields["keyval"]["public"]}"}},"scheme":"{self.scheme}"}}'
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def tuf_fields(self) -> dict[str, Any]:
        """The key as TUF metadata lists it."""
        is_ed25519 = self.scheme == "ed25519"
        return {
            "keytype": "ed25519" if is_ed25519 else "ecdsa",
            "scheme": self.scheme,
            "keyval": {"public": self.public_hex if is_ed25519 else _curves().pem_of(self)},
        }

    def accepts(self, signature_hex: str, payload: bytes) -> bool:
        """Whether this key's other half made this signature over these bytes. Only one spelling of
        a signature counts: with capitals it would be another file that says the same.
        """
        try:
            signature = bytes.fromhex(signature_hex)
        except ValueError:
            return False
        if signature.hex() != signature_hex:
            return False
        try:
            return bool(_curves().accepts(self, signature, payload))
        except ValueError:
            return False


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


def _curves() -> ModuleType:
    from edgewright.trust import curves  # noqa: PLC0415  # 5 MB, rarely needed

    return curves
