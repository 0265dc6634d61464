"""An elliptic curve key (P-256) in a PEM file, for OpenSSF model signatures, which take no other
kind. Its public half lies beside it as `NAME.pub`, a PEM file too, as other tools read it.
"""

from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edgewright.bundle.openssf import public_pem
from edgewright.errors import InputError
from edgewright.keys._pem import load_private, write_pair


class EllipticSigner:
    """A private key that was read from a file."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    def __repr__(self) -> str:
        return f"EllipticSigner({self.public.curve.name})"

    @classmethod
    def create(cls, path: Path, *, password: str | None = None) -> "EllipticSigner":
        """A new key, written to `path`; an existing file is never replaced.

        Raises:
            InputError: there is a file already.
        """
        signer = cls(ec.generate_private_key(ec.SECP256R1()))
        text = public_pem(signer.public).decode().rstrip()
        write_pair(path, signer._private, text, password=password)
        return signer

    @classmethod
    def load(cls, path: Path, *, password: str | None = None) -> "EllipticSigner":
        """The key of a file.

        Raises:
            InputError: not such a key, or the password is missing or wrong.
        """
        private = load_private(path, password=password)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise InputError(
                f"key file {path}: not an elliptic curve key",
                hint="OpenSSF signatures need one; name a file that is absent to make it",
            )
        return cls(private)

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._private.public_key()

    def sign_ecdsa(self, payload: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        """The signature (DER) over these bytes."""
        return self._private.sign(payload, ec.ECDSA(algorithm))
