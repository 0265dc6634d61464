"""An X25519 key in a PEM file (PKCS #8) that opens bundles which were encrypted to it, encrypted
itself when a password is given, readable by its owner only.

The public half lies beside it as `NAME.pub`, one line: the recipient.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edgewright.bundle.recipients import Recipient, unwrap_key
from edgewright.errors import InputError
from edgewright.keys._pem import load_private, read_line, write_pair


class FileOpener:
    """A private key that was read from a file."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private

    def __repr__(self) -> str:
        return f"FileOpener({self.recipient.key_id[:12]})"

    @classmethod
    def create(cls, path: Path, *, password: str | None = None) -> "FileOpener":
        """A new key, written to `path`; an existing file is never replaced.

        Raises:
            InputError: there is a file already.
        """
        opener = cls(X25519PrivateKey.generate())
        write_pair(path, opener._private, opener.recipient.text, password=password)
        return opener

    @classmethod
    def load(cls, path: Path, *, password: str | None = None) -> "FileOpener":
        """The key of a file.

        Raises:
            InputError: not such a key, or the password is missing or wrong.
        """
        private = load_private(path, password=password)
        if not isinstance(private, X25519PrivateKey):
            raise InputError(
                f"key file {path}: a key that signs, expected one that opens bundles (X25519)",
                hint="make one: edgewright bundle keygen",
            )
        return cls(private)

    @classmethod
    def load_or_create(cls, path: Path) -> "FileOpener":
        """The key of a file without a password, made now when there is none."""
        return cls.load(path) if path.exists() else cls.create(path)

    @property
    def recipient(self) -> Recipient:
        """The public half."""
        return Recipient(public_hex=self._private.public_key().public_bytes_raw().hex())

    def open(self, wrapped: bytes, bundle_id: str) -> bytes:
        """See `Opener`."""
        return unwrap_key(wrapped, self._private, bundle_id)


def read_recipient(text: str) -> Recipient:
    """The recipient that a line of text is, or that a file of that name holds.

    Raises:
        InputError: neither.
    """
    path = Path(text)
    if path.is_file():
        return Recipient.parse(read_line(path), source=str(path))
    return Recipient.parse(text, source=repr(text[:80]))
