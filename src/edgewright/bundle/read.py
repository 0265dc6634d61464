"""Opening bundles: every byte is checked before anything is believed."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from edgewright._fs import atomic_folder, file_errors, make_dirs, read_limited, write_atomic
from edgewright.bundle.archive import CHUNK_BYTES, ArchiveReader
from edgewright.bundle.manifest import (
    MANIFEST_LIMIT_BYTES,
    MANIFEST_MEMBER,
    Blob,
    Manifest,
    Role,
    blob_member,
    bundle_id_of,
    decode_manifest,
    signature_member,
)
from edgewright.bundle.sealed import Head, is_sealed, open_sealed, read_head
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, TrustError
from edgewright.trust import Signature, TrustedKeys, verify_payload

SIGNATURE_LIMIT = 16
SIGNATURE_LIMIT_BYTES = 4096
READ_LIMIT_BYTES = 1 << 30

_Keep = Callable[[Blob, Iterator[bytes]], None]
_Open = Callable[[], IO[bytes]]


class Bundle:
    """A bundle whose every hash was right when it was opened.

    `path` is the `.ewb` file, encrypted or not, or the unpacked folder. Signatures are carried, not
    judged: `verify_signatures` does that against the keys that a device or registry trusts.
    """

    def __init__(
        self,
        path: Path,
        manifest_bytes: bytes,
        signatures: tuple[Signature, ...],
        offsets: dict[str, int] | None,
        open_file: _Open | None = None,
    ) -> None:
        self.path = path
        self.manifest_bytes = manifest_bytes
        self.manifest: Manifest = decode_manifest(manifest_bytes)
        self.id = bundle_id_of(manifest_bytes)
        self.signatures = signatures
        self._offsets = offsets
        self._open_file = open_file or _plain(path)

    def blob(self, role: Role) -> Blob:
        """The first blob of a role.

        Raises:
            InputError: the bundle has none.
        """
        for blob in self.manifest.blobs:
            if blob.role == role:
                return blob
        raise InputError(
            f"bundle {self.manifest.name} {self.manifest.version} has no {role}",
            hint="build it again with one",
        )

    def has(self, role: Role) -> bool:
        """Whether a blob of this role is inside."""
        return any(blob.role == role for blob in self.manifest.blobs)

    def read(self, blob: Blob) -> bytes:
        """A blob's content, checked again.

        Raises:
            TrustError: the content changed since the bundle was opened.
        """
        if blob.size_bytes > READ_LIMIT_BYTES:
            raise InputError(f"blob {blob.name} is too large to read at once", hint="unpack it")
        return b"".join(self.chunks(blob))

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """A blob's content piece by piece, checked at its end."""
        opened: _Open
        if self._offsets is None:
            source, offset = self.file(blob), 0
            opened = _plain(source)
        else:
            source, offset, opened = self.path, self._offsets[blob.sha256], self._open_file
        with file_errors(source, doing="reading"), opened() as file:
            file.seek(offset)
            yield from _checked(blob, _pieces(file, blob.size_bytes))

    def offset(self, blob: Blob) -> int:
        """Where a blob's content begins in a packed bundle.

        Raises:
            InputError: this bundle is unpacked.
        """
        if self._offsets is None:
            raise InputError(f"{self.path} is an unpacked bundle", hint="give the .ewb")
        return self._offsets[blob.sha256]

    def file(self, blob: Blob) -> Path:
        """Where a blob lies in an unpacked bundle.

        Raises:
            InputError: this bundle is still packed.
        """
        if self._offsets is not None:
            raise InputError(f"{self.path} is a packed bundle", hint="unpack it first")
        return self.path / blob_member(blob.sha256)


def open_bundle(path: Path, *, content_key: bytes | None = None) -> Bundle:
    """Open a bundle file or an unpacked folder and check every hash in it; an encrypted file with
    its content key.

    Raises:
        InputError: there is no such file, or it is encrypted and no key is given.
        TrustError: any byte is not as its maker wrote it.
    """
    if path.is_dir():
        return _open_folder(path)
    if not is_sealed(path):
        return _open_file(path, _plain(path))
    head = read_head(path)
    if content_key is None:
        raise InputError(
            f"{path.name} is encrypted ({head.name} {head.version}, bundle {head.bundle_id[:12]})",
            hint="open it with a recipient's key: edgewright bundle decrypt FILE --identity KEY",
        )
    bundle = _open_file(path, partial(open_sealed, path, content_key))
    _require_as_told(bundle, head)
    return bundle


def _plain(path: Path) -> _Open:
    return lambda: path.open("rb")


def _open_file(path: Path, opened: _Open) -> Bundle:
    offsets: dict[str, int] = {}
    with file_errors(path, doing="reading"), opened() as file:
        reader = ArchiveReader(file)

        def keep(blob: Blob, chunks: Iterator[bytes]) -> None:
            offsets[blob.sha256] = reader.position
            for _ in chunks:
                pass

        text, signatures = _walk(reader, keep)
    return Bundle(path, text, signatures, offsets, opened)


def _require_as_told(bundle: Bundle, head: Head) -> None:
    """The readable head and what is inside were made by the same hand."""
    manifest = bundle.manifest
    told, found = (
        (head.name, head.version, head.bundle_id),
        (manifest.name, manifest.version, bundle.id),
    )
    if told != found:
        raise TrustError(
            f"{bundle.path.name} says that it holds {told[0]} {told[1]} ({told[2][:12]}), inside "
            f"is {found[0]} {found[1]} ({found[2][:12]})",
            hint="fetch it again from its maker",
        )


def unpack(source: Path | IO[bytes], folder: Path, *, content_key: bytes | None = None) -> Bundle:
    """Unpack into a folder that appears whole or not at all, checking while it streams; an
    encrypted file with its content key.

    Raises:
        InputError: there is no such file, or the folder exists already.
        TrustError: any byte is not as its maker wrote it.
        ResourceError: the disk is full, or the folder may not be written.
    """
    if folder.exists():
        raise InputError(f"unpacking into {folder}: it exists already", hint="remove it first")
    with ExitStack() as stack:
        if isinstance(source, Path):
            stack.enter_context(file_errors(source, doing="reading"))
            opened = source.open("rb") if content_key is None else open_sealed(source, content_key)
            source = stack.enter_context(opened)
        temp = stack.enter_context(atomic_folder(folder))
        make_dirs(temp / "blobs")
        make_dirs(temp / "signatures")
        text, signatures = _walk(
            ArchiveReader(source),
            lambda blob, chunks: write_atomic(temp / blob_member(blob.sha256), chunks),
        )
        for signature in signatures:
            content = encode_json(signature)
            write_atomic(temp / signature_member(signature.key_id), content)
        write_atomic(temp / MANIFEST_MEMBER, text)
    return Bundle(folder, text, signatures, None)


def verify_signatures(bundle: Bundle, trusted: TrustedKeys) -> tuple[str, ...]:
    """The trusted keys that signed this bundle.

    Raises:
        TrustError: too few of them, or a wrong signature.
    """
    return verify_payload(bundle.manifest_bytes, bundle.signatures, trusted)


def _walk(reader: ArchiveReader, keep: _Keep) -> tuple[bytes, tuple[Signature, ...]]:
    """Read a whole archive: manifest, blobs in its order, signatures in the order of their keys."""
    header = reader.next_header()
    if header is None or header[0] != MANIFEST_MEMBER:
        raise TrustError("not a bundle: it does not begin with manifest.json", hint="check it")
    if header[1] > MANIFEST_LIMIT_BYTES:
        raise TrustError(f"manifest.json has {header[1]} bytes, at most {MANIFEST_LIMIT_BYTES}")
    text = b"".join(reader.chunks(header[1]))
    for blob in decode_manifest(text).distinct_blobs:
        header = reader.next_header()
        if header != (blob_member(blob.sha256), blob.size_bytes):
            raise TrustError(
                f"bundle: blob {blob.name!r} is not where the manifest says", hint="fetch it again"
            )
        keep(blob, _checked(blob, reader.chunks(blob.size_bytes)))
    return text, tuple(_walk_signatures(reader))


def _walk_signatures(reader: ArchiveReader) -> Iterator[Signature]:
    last = ""
    for _ in range(SIGNATURE_LIMIT + 1):
        header = reader.next_header()
        if header is None:
            return
        name, size_bytes = header
        if size_bytes > SIGNATURE_LIMIT_BYTES or name <= last:
            raise TrustError(f"bundle: unexpected member {name[:80]!r}", hint="fetch it again")
        last = name
        yield _parse_signature(name, b"".join(reader.chunks(size_bytes)))
    raise TrustError(f"bundle: more than {SIGNATURE_LIMIT} signatures")


def _parse_signature(name: str, content: bytes) -> Signature:
    try:
        signature = decode_json(content, Signature, source=name)
    except InputError as error:
        raise TrustError(str(error)) from error
    if name != signature_member(signature.key_id) or content != encode_json(signature):
        raise TrustError(f"bundle: unexpected member {name[:80]!r}", hint="fetch it again")
    return signature


def _open_folder(folder: Path) -> Bundle:
    text = read_limited(folder / MANIFEST_MEMBER, limit_bytes=MANIFEST_LIMIT_BYTES)
    names = sorted(path.name for path in (folder / "signatures").glob("*.json"))
    signatures = tuple(
        _parse_signature(
            f"signatures/{name}",
            read_limited(folder / "signatures" / name, limit_bytes=SIGNATURE_LIMIT_BYTES),
        )
        for name in names[: SIGNATURE_LIMIT + 1]
    )
    bundle = Bundle(folder, text, signatures, None)
    for blob in bundle.manifest.distinct_blobs:
        for _ in bundle.chunks(blob):
            pass
    return bundle


def _checked(blob: Blob, chunks: Iterator[bytes]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    size_bytes = 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
        yield chunk
    if size_bytes != blob.size_bytes or digest.hexdigest() != blob.sha256:
        raise TrustError(
            f"blob {blob.name!r} is not what the manifest says: expected sha256 "
            f"{blob.sha256[:12]}..., got {digest.hexdigest()[:12]}...",
            hint="fetch the bundle again from its maker",
        )


def _pieces(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
