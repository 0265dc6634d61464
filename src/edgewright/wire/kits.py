"""A kit: model files and the arrays of one call that a device is to measure beside each other,
signed. It has no golden vectors and can become no release: a device takes it for `edgewright
measure` and for nothing else, and only from keys that its own settings name for that.

A file: magic, the head's length in 4 bytes, the head as JSON, then the files one after the other.
The head is the order as text, which names the size and hash of every file, and signatures over it.
"""

import re
from collections.abc import Collection

import msgspec

from edgewright.errors import InputError, TrustError
from edgewright.trust import PublicKey, Signature, Signer

MAGIC = b"EWK1"
HEAD_LIMIT_BYTES = 64 << 10
FILES_MOST = 64
KIT_MOST_BYTES = 256 << 20
SECONDS_MOST = 600.0
PREFIX_BYTES = len(MAGIC) + 4
ORDER_FILE = "order.json"
"""Where a device keeps the order beside the files that came with it."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}\.[a-z0-9]{1,12}")
_PURPOSE = b"edgewright kit 1\n"
"""Signed with the order, so that a signature over anything else is none over a kit."""


class KitFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a kit."""

    name: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name[:100]!r} is no name of a file in a kit")
        if self.size_bytes < 0:
            raise ValueError(f"{self.name} has {self.size_bytes} bytes")


class KitOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What one device is to do with the files, until when: all are models but `inputs`, the arrays
    of a call, which is the last; the first one is what the others are compared to.
    """

    device: str
    expires_at_s: float
    files: tuple[KitFile, ...]
    threads: int = 1
    rounds: int = 300
    seconds: float = 8.0
    seed: int = 0
    with_energy: bool = False
    with_memory: bool = False
    schema_version: int = 1

    def __post_init__(self) -> None:
        names = {file.name for file in self.files}
        if ORDER_FILE in names:
            raise ValueError(f"{ORDER_FILE} is no name of a file in a kit")
        if not 2 <= len(self.files) <= FILES_MOST or len(names) != len(self.files):
            raise ValueError(f"{len(self.files)} files, expected 2 to {FILES_MOST} different ones")
        if self.total_bytes > KIT_MOST_BYTES:
            raise ValueError(f"{self.total_bytes} bytes of files, at most {KIT_MOST_BYTES}")
        if not (0 < self.threads <= 1024 and 2 <= self.rounds <= 100_000):
            raise ValueError(f"{self.threads} threads and {self.rounds} rounds")
        if not 0 < self.seconds <= SECONDS_MOST:
            raise ValueError(f"{self.seconds:g} s of rounds, at most {SECONDS_MOST:g}")

    @property
    def models(self) -> tuple[KitFile, ...]:
        """The files to compare."""
        return self.files[:-1]

    @property
    def inputs(self) -> KitFile:
        """The arrays of one call."""
        return self.files[-1]

    @property
    def total_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


class _Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order: str
    signatures: tuple[Signature, ...]


_order = msgspec.json.Decoder(KitOrder)
_head = msgspec.json.Decoder(_Head)


def encode_head(order: KitOrder, signer: Signer) -> bytes:
    """What stands before the files."""
    text = msgspec.json.encode(order)
    signed = Signature.of(signer, _PURPOSE + text)
    head = msgspec.json.encode(_Head(order=text.decode(), signatures=(signed,)))
    return MAGIC + len(head).to_bytes(4, "big") + head


def head_bytes(prefix: bytes) -> int:
    """How long the head is, from the first `PREFIX_BYTES`.

    Raises:
        InputError: no kit begins so.
    """
    size = int.from_bytes(prefix[len(MAGIC) : PREFIX_BYTES], "big")
    if prefix[: len(MAGIC)] != MAGIC or len(prefix) < PREFIX_BYTES or size > HEAD_LIMIT_BYTES:
        raise InputError("this is no kit of models to measure")
    return size


def decode_head(head: bytes, *, keys: Collection[PublicKey], device: str, now_s: float) -> KitOrder:
    """The order of a kit, if it is for this device, in time, and signed by one of the keys.

    Raises:
        InputError: it makes no sense, or its time is over.
        TrustError: nobody of `keys` signed it, or it is for another device.
    """
    try:
        found = _head.decode(head)
        payload = found.order.encode()
        if not any(_is_by(key, found.signatures, payload) for key in keys):
            raise TrustError("nobody whom this device trusts with measurements signed the kit")
        order = _order.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InputError(f"the kit's head makes no sense: {error}") from error
    if order.device != device:
        raise TrustError(f"the kit is for {order.device[:80]}, this is {device}")
    if order.expires_at_s <= now_s:
        raise InputError(
            f"the kit's time was over {now_s - order.expires_at_s:.0f} s ago",
            hint="check the clocks of both machines",
        )
    return order


def _is_by(key: PublicKey, signatures: tuple[Signature, ...], payload: bytes) -> bool:
    return any(
        one.key_id == key.key_id and key.accepts(one.signature_hex, _PURPOSE + payload)
        for one in signatures
    )
