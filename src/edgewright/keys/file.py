"""An Ed25519 key in a PEM file (PKCS #8), encrypted when a password is given, readable by its owner
only.

The public half lies beside it as `NAME.pub`, one line of hex; of a P-256 key, which tokens and
chips may hold, with the scheme before it. PEM, from any other program, is read as well.
"""

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgewright._fs import write_atomic
from edgewright.errors import InputError
from edgewright.keys._pem import load_private, read_line, write_pair
from edgewright.trust import PublicKey
from edgewright.trust.curves import public_key_of

_P256: Final = "ecdsa-sha2-nistp256"


class FileSigner:
    """A private key that was read from a file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    def __repr__(self) -> str:
        return f"FileSigner({self.public.key_id[:12]})"

    @classmethod
    def create(cls, path: Path, *, password: str | None = None) -> "FileSigner":
        """A new key, written to `path`; an existing file is never replaced.

        Raises:
            InputError: there is a file already.
        """
        signer = cls(Ed25519PrivateKey.generate())
        write_pair(path, signer._private, signer.public.public_hex, password=password)
        return signer

    @classmethod
    def load(cls, path: Path, *, password: str | None = None) -> "FileSigner":
        """The key of a file.

        Raises:
            InputError: not such a key, or the password is missing or wrong.
        """
        private = load_private(path, password=password)
        if not isinstance(private, Ed25519PrivateKey):
            raise InputError(f"key file {path}: not an Ed25519 key", hint="make one: trust keygen")
        return cls(private)

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(public_hex=self._private.public_key().public_bytes_raw().hex())

    def sign(self, payload: bytes) -> bytes:
        """The signature over these bytes."""
        return self._private.sign(payload)


def read_public_key(path: Path) -> PublicKey:
    """A public key from its `.pub` file, or from PEM.

    Raises:
        InputError: it is neither, or a key of another kind.
    """
    text = read_line(path)
    scheme, _, digits = text.rpartition(" ")
    try:
        if text.startswith("-----BEGIN PUBLIC KEY-----"):
            return public_key_of(serialization.load_pem_public_key(text.encode()))
        if scheme and scheme != _P256:
            raise ValueError("a public Ed25519 key is 64 lower-case hex digits")
        return PublicKey(public_hex=digits, scheme=_P256 if scheme else "ed25519")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"public key file {path}: {error}", hint="use the .pub file") from error


def write_public_key(path: Path, key: PublicKey) -> None:
    """A public key as a `.pub` file."""
    scheme = "" if key.scheme == "ed25519" else f"{key.scheme} "
    write_atomic(path, f"{scheme}{key.public_hex}\n".encode())
