"""An encrypted bundle: a readable head, then the bundle file in pieces that only a key opens.

    magic, length of the head (4 bytes, big endian), head (JSON), pieces

The head says which bundle is inside, how long it is, and holds the content key once for each
recipient. A piece is 64 KiB under AES-256-GCM with its number as the nonce and the SHA-256 of all
that lies before the first piece as the associated data, so that pieces cannot be moved, taken away
or added, and no byte of the head can be changed. A content key is drawn for one file and encrypts
no other; that is what makes a counter a good nonce.

What stays readable is the model's name, its version, the bundle's id and size, and how many keys
open it. Everything else, contract and signatures included, is inside.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from edgewright._fs import atomic_file, file_errors
from edgewright.bundle.manifest import check_name, check_sha256
from edgewright.bundle.recipients import KEY_BYTES, Opener, Recipient, wrap_key
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, TrustError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"edgewright sealed bundle\n"
SCHEMA_VERSION = 1
PIECE_BYTES = 64 * 1024
TAG_BYTES = 16
HEAD_LIMIT_BYTES = 1 << 20
RECIPIENT_LIMIT = 1024

_LENGTH_BYTES = 4
_NONCE_BYTES = 12
_HINT = "it was changed or cut short on its way; fetch it again"


class Wrapped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content key for one recipient."""

    key_id: str
    wrapped_hex: str


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an encrypted bundle tells everybody. It is believed when the content key opens it."""

    schema_version: int
    name: str
    version: str
    bundle_id: str
    size_bytes: int
    recipients: tuple[Wrapped, ...]

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("version", self.version)
        check_sha256("bundle_id", self.bundle_id)
        if not 0 < self.size_bytes < 1 << 50:
            raise ValueError(f"size_bytes is {self.size_bytes}")
        if len(self.recipients) > RECIPIENT_LIMIT:
            raise ValueError(f"{len(self.recipients)} recipients, at most {RECIPIENT_LIMIT}")

    def key_by(self, opener: Opener, *, wrapped_hex: str = "") -> bytes:
        """The content key, as somebody handed it over (`wrapped_hex`) or as it lies here.

        Raises:
            TrustError: it is not for this opener, or was changed.
        """
        key_id = opener.recipient.key_id
        mine = [known.wrapped_hex for known in self.recipients if known.key_id == key_id]
        if not wrapped_hex and not mine:
            raise TrustError(
                f"bundle {self.name} {self.version} is encrypted to {self._named()}, not to this "
                f"key {key_id[:12]}",
                hint="have it encrypted to this recipient as well: edgewright bundle encrypt",
            )
        try:
            wrapped = bytes.fromhex(wrapped_hex or mine[0])
        except ValueError as error:
            raise TrustError(f"bundle {self.name}: a content key that is no hex") from error
        return opener.open(wrapped, self.bundle_id)

    def _named(self) -> str:
        ids = [known.key_id[:12] for known in self.recipients]
        return ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")


def is_sealed(path: Path) -> bool:
    """Whether a file begins like an encrypted bundle; a folder is none.

    Raises:
        InputError: no such file.
    """
    if path.is_dir():
        return False
    with file_errors(path, doing="reading"), path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_head(path: Path) -> Head:
    """What an encrypted bundle tells without its key.

    Raises:
        InputError: no such file.
        TrustError: not an encrypted bundle of this format.
    """
    with file_errors(path, doing="reading"), path.open("rb") as file:
        return _head(file)[0]


def write_sealed(
    out: Path, source: Path, facts: Mapping[str, Any], recipients: Sequence[Recipient]
) -> Head:
    """Encrypt a bundle file with a fresh key; `facts` are the head's name, version and bundle id.

    Raises:
        InputError: no recipient, one twice, or one that cannot be encrypted to.
    """
    key_ids = [recipient.key_id for recipient in recipients]
    if not key_ids or len(set(key_ids)) != len(key_ids):
        what = "a recipient is named twice" if key_ids else "no recipient is named"
        raise InputError(f"encrypting: {what}", hint="name each of them once with --to")
    content_key = os.urandom(KEY_BYTES)
    wrapped = tuple(
        Wrapped(
            key_id=recipient.key_id,
            wrapped_hex=wrap_key(content_key, recipient, facts["bundle_id"]).hex(),
        )
        for recipient in recipients
    )
    try:
        head = Head(
            schema_version=SCHEMA_VERSION,
            size_bytes=source.stat().st_size,
            recipients=wrapped,
            **facts,
        )
    except ValueError as error:
        raise InputError(f"encrypting: {error}") from error
    prefix = _prefix(head)
    with atomic_file(out) as file:
        file.write(prefix)
        for piece in _encrypted(source, content_key, hashlib.sha256(prefix).digest()):
            file.write(piece)
    return head


def open_sealed(path: Path, content_key: bytes) -> IO[bytes]:
    """The bundle file inside, to read and to seek in; each piece is checked when it is read.

    Raises:
        InputError: no such file.
        TrustError: cut short, longer than it says, or, while it is read, changed.
    """
    with file_errors(path, doing="reading"):
        file = path.open("rb")
        try:
            head, start = _head(file)
            expected = start + head.size_bytes + TAG_BYTES * _count(head.size_bytes)
            found = file.seek(0, os.SEEK_END)
            if found != expected:
                raise TrustError(
                    f"{path.name} has {found} bytes, its head promises {expected}", hint=_HINT
                )
            file.seek(0)
            digest = hashlib.sha256(file.read(start)).digest()
        except BaseException:
            file.close()
            raise
    pieces = _Pieces(file, size_bytes=head.size_bytes, start=start, seal=(content_key, digest))
    return io.BufferedReader(pieces, PIECE_BYTES)


class _Pieces(io.RawIOBase):
    """The plain bytes of a sealed file."""

    def __init__(
        self, file: IO[bytes], *, size_bytes: int, start: int, seal: tuple[bytes, bytes]
    ) -> None:
        super().__init__()
        self._file = file
        self._size_bytes = size_bytes
        self._start = start
        self._cipher, self._digest = _cipher(seal[0]), seal[1]
        self._at = 0
        self._known: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size_bytes:
            return 0
        index, skip = divmod(self._at, PIECE_BYTES)
        part = self._piece(index)[skip : skip + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _piece(self, index: int) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # 5 MB, rarely needed

        if self._known[0] == index:
            return self._known[1]
        self._file.seek(self._start + index * (PIECE_BYTES + TAG_BYTES))
        size_bytes = min(PIECE_BYTES, self._size_bytes - index * PIECE_BYTES) + TAG_BYTES
        sealed = self._file.read(size_bytes)
        try:
            plain = self._cipher.decrypt(_nonce(index), sealed, self._digest)
        except InvalidTag as error:
            raise TrustError(
                f"piece {index} of the encrypted bundle does not open with its content key",
                hint=_HINT,
            ) from error
        self._known = index, plain
        return plain


def _encrypted(source: Path, key: bytes, digest: bytes) -> Iterator[bytes]:
    cipher, index = _cipher(key), 0
    with file_errors(source, doing="reading"), source.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield cipher.encrypt(_nonce(index), piece, digest)
            index += 1


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415  # 5 MB, rarely needed
        AESGCM,
    )

    return AESGCM(key)


def _nonce(index: int) -> bytes:
    return index.to_bytes(_NONCE_BYTES, "big")


def _count(size_bytes: int) -> int:
    return -(-size_bytes // PIECE_BYTES)


def _prefix(head: Head) -> bytes:
    text = encode_json(head)
    return MAGIC + len(text).to_bytes(_LENGTH_BYTES, "big") + text


def _head(file: IO[bytes]) -> tuple[Head, int]:
    """The head of a file, and where its pieces begin."""
    first = file.read(len(MAGIC) + _LENGTH_BYTES)
    length = int.from_bytes(first[len(MAGIC) :], "big")
    if not first.startswith(MAGIC) or length > HEAD_LIMIT_BYTES:
        raise TrustError("not an encrypted bundle of this format", hint=_HINT)
    text = file.read(length)
    try:
        version = decode_json(text, _Version, source="head").schema_version
        if version != SCHEMA_VERSION:
            raise TrustError(
                f"the encrypted bundle has schema version {version}, this edgewright reads "
                f"{SCHEMA_VERSION}",
                hint="install a newer edgewright",
            )
        head = decode_json(text, Head, source="head")
    except InputError as error:
        raise TrustError(f"the encrypted bundle's {error.message}", hint=_HINT) from error
    if first + text != _prefix(head):
        raise TrustError("the encrypted bundle's head was changed", hint=_HINT)
    return head, len(first) + length


class _Version(msgspec.Struct):
    schema_version: int
