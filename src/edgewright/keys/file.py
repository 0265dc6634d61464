"""An Ed25519 key in a PEM file (PKCS #8), encrypted when a password is given, readable by its owner
only.

The public half lies beside it as `NAME.pub`, one line of hex.
"""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgewright._fs import read_limited, write_atomic
from edgewright.errors import InputError
from edgewright.trust import PublicKey

_LIMIT_BYTES = 16 * 1024


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
        if path.exists():
            raise InputError(
                f"key file {path} exists already", hint="choose another name, or load that key"
            )
        signer = cls(Ed25519PrivateKey.generate())
        encryption = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        pem = signer._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        write_atomic(path, pem, mode=0o600)
        write_atomic(path.with_suffix(".pub"), signer.public.public_hex.encode() + b"\n")
        return signer

    @classmethod
    def load(cls, path: Path, *, password: str | None = None) -> "FileSigner":
        """The key of a file.

        Raises:
            InputError: not such a key, or the password is missing or wrong.
        """
        pem = read_limited(path, limit_bytes=_LIMIT_BYTES)
        try:
            private = serialization.load_pem_private_key(
                pem, password.encode() if password else None
            )
        except TypeError as error:
            wanted = "a password is needed" if password is None else "it has no password"
            raise InputError(f"key file {path}: {wanted}", hint="give it as it was made") from error
        except ValueError as error:
            raise InputError(
                f"key file {path}: not a private key, or the password is wrong",
                hint="check the file and the password",
            ) from error
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
    text = read_limited(path, limit_bytes=_LIMIT_BYTES).decode(errors="replace").strip()
    try:
        return PublicKey(public_hex=text)
    except ValueError as error:
        raise InputError(f"public key file {path}: {error}", hint="use the .pub file") from error
