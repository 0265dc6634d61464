"""A signer whose key is made from a number: the same key in every run, and of no worth outside."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgewright.trust import PublicKey


class MemorySigner:
    """An Ed25519 key held in memory."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def from_seed(cls, seed: int) -> "MemorySigner":
        """The key that belongs to a number."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big")))

    @property
    def public(self) -> PublicKey:
        return PublicKey(public_hex=self._private.public_key().public_bytes_raw().hex())

    def sign(self, payload: bytes) -> bytes:
        return self._private.sign(payload)
