"""An Ed25519 key in a PEM file (PKCS #8), encrypted when a password is given, readable by its owner
only.

The public half lies beside it as `NAME.pub`, one line of hex.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgewright.errors import InputError
from edgewright.keys._pem import load_private, read_line, write_pair
from edgewright.trust import PublicKey


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
    """A public key from its `.pub` file."""
    text = read_line(path)
    try:
        return PublicKey(public_hex=text)
    except ValueError as error:
        raise InputError(f"public key file {path}: {error}", hint="use the .pub file") from error
