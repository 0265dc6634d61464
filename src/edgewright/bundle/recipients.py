"""Whom a bundle may be encrypted to, and how its content key is wrapped for each of them.

HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. A wrapped key is bound to one bundle id:
moved to another bundle it does not open. A recipient is written as one line of text, `ewr1:` and
its public key in hex, so that it is never taken for a key that signs.

    >>> recipient = Recipient.parse("ewr1:" + "09" + 31 * "00", source="here")
    >>> recipient.key_id[:12]
    '97c18e069592'
"""

import hashlib
from typing import TYPE_CHECKING, Protocol

import msgspec

from edgewright.errors import InputError, TrustError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.hpke import Suite

KEY_BYTES = 32
PREFIX = "ewr1:"

_HEX_DIGITS = frozenset("0123456789abcdef")
_LABEL = b"edgewright content key 1\0"


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """The public half of a key that opens bundles."""

    public_hex: str

    def __post_init__(self) -> None:
        if len(self.public_hex) != 2 * KEY_BYTES or not _HEX_DIGITS.issuperset(self.public_hex):
            raise ValueError(f"expected {PREFIX} and {2 * KEY_BYTES} lower-case hex digits")

    @classmethod
    def parse(cls, text: str, *, source: str) -> "Recipient":
        """The recipient that a line of text names.

        Raises:
            InputError: it names none.
        """
        line = text.strip()
        try:
            if not line.startswith(PREFIX):
                raise ValueError(f"expected a line that begins with {PREFIX}, got {line[:12]!r}")
            return cls(public_hex=line.removeprefix(PREFIX))
        except ValueError as error:
            raise InputError(
                f"{source} names no recipient: {error}",
                hint="ask the device (edgewright agent recipient) or the fleet "
                "(edgewright fleet recipient) for its own",
            ) from error

    @property
    def text(self) -> str:
        """As people and files write it."""
        return f"{PREFIX}{self.public_hex}"

    @property
    def key_id(self) -> str:
        """What names it in a file's head: SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Opener(Protocol):
    """Whoever holds the private half: a file, later a chip."""

    @property
    def recipient(self) -> Recipient:
        """The public half."""

    def open(self, wrapped: bytes, bundle_id: str) -> bytes:
        """The content key that was wrapped for this recipient and bundle.

        Raises:
            TrustError: it was wrapped for somebody else, for another bundle, or changed.
        """


def wrap_key(content_key: bytes, recipient: Recipient, bundle_id: str) -> bytes:
    """A content key that this recipient alone can open, for this bundle alone.

    Raises:
        InputError: the recipient's key is none that can be encrypted to.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415  # 5 MB, rarely
        X25519PublicKey,
    )

    try:
        public = X25519PublicKey.from_public_bytes(bytes.fromhex(recipient.public_hex))
        return _suite().encrypt(content_key, public, info=_info(bundle_id))
    except ValueError as error:
        raise InputError(
            f"recipient {recipient.key_id[:12]}: not a key that can be encrypted to",
            hint="ask for it again",
        ) from error


def unwrap_key(wrapped: bytes, private: "X25519PrivateKey", bundle_id: str) -> bytes:
    """What `wrap_key` wrapped; for the rooms that hold private keys.

    Raises:
        TrustError: it was wrapped for somebody else, for another bundle, or changed.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # 5 MB, rarely needed

    try:
        content_key = _suite().decrypt(wrapped, private, info=_info(bundle_id))
    except (InvalidTag, ValueError) as error:
        raise TrustError(
            f"the content key of bundle {bundle_id[:12]} does not open with this key",
            hint="it was wrapped for another recipient, or changed on its way",
        ) from error
    if len(content_key) != KEY_BYTES:
        raise TrustError(
            f"bundle {bundle_id[:12]}: a content key of {len(content_key)} bytes, expected "
            f"{KEY_BYTES}",
            hint="have it encrypted again",
        )
    return content_key


def _suite() -> "Suite":
    from cryptography.hazmat.primitives.hpke import (  # noqa: PLC0415  # 5 MB, rarely needed
        AEAD,
        KDF,
        KEM,
        Suite,
    )

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def _info(bundle_id: str) -> bytes:
    return _LABEL + bundle_id.encode()
