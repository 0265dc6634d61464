"""The air-gap file (`.ewx`): one bundle with the metadata of both repositories that speaks of it.

A deterministic tar like a bundle: `parcel.json` (what is inside, to be believed only as far as the
metadata agrees), `image/...` and `director/...` metadata as a repository serves it, then the
`.ewb` as `bundle.ewb`. It needs no trust of its own: whoever changes it makes devices refuse it.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> bundle = folder / "a.ewb"
    >>> _ = bundle.write_bytes(b"content")
    >>> label = Label(
    ...     model="har", version="1", bundle_id="00" * 32, file_sha256="11" * 32, file_size_bytes=7
    ... )
    >>> write_parcel(folder / "a.ewx", label, {"image/1.root.json": b"{}"}, bundle)
    >>> parcel = open_parcel(folder / "a.ewx")
    >>> parcel.label.model, sorted(parcel.metadata), b"".join(parcel.chunks())
    ('har', ['image/1.root.json'], b'content')
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from edgewright._fs import atomic_file, file_errors
from edgewright.bundle.archive import CHUNK_BYTES, ArchiveReader, ArchiveWriter
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, TrustError

LABEL_MEMBER = "parcel.json"
BUNDLE_MEMBER = "bundle.ewb"
LABEL_LIMIT_BYTES = 64 * 1024
METADATA_LIMIT_BYTES = 5_000_000
METADATA_LIMIT = 1024
TOTAL_LIMIT_BYTES = 64 << 20
SCHEMA_VERSION = 1

_METADATA = re.compile(r"(image|director)/[A-Za-z0-9.%_~-]{1,90}\.json")


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a parcel says is inside."""

    model: str
    version: str
    bundle_id: str
    file_sha256: str
    file_size_bytes: int
    schema_version: int = SCHEMA_VERSION


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """An opened parcel: its label, its metadata by member name, and where the bundle lies."""

    path: Path
    label: Label
    metadata: Mapping[str, bytes]
    offset: int

    def chunks(self) -> Iterator[bytes]:
        """The bundle file's content; its hash is for the reader to check."""
        left = self.label.file_size_bytes
        with file_errors(self.path, doing="reading"), self.path.open("rb") as file:
            file.seek(self.offset)
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk


def is_parcel(path: Path) -> bool:
    """Whether a file begins like a parcel.

    Raises:
        InputError: no such file.
    """
    with file_errors(path, doing="reading"), path.open("rb") as file:
        return file.read(len(LABEL_MEMBER) + 1) == LABEL_MEMBER.encode() + b"\0"


def write_parcel(path: Path, label: Label, metadata: Mapping[str, bytes], bundle: Path) -> None:
    """Write a parcel; equal arguments give equal bytes.

    Raises:
        InputError: the bundle file is not of the size that the label says.
    """
    size_bytes = bundle.stat().st_size
    if size_bytes != label.file_size_bytes:
        raise InputError(f"{bundle} has {size_bytes} bytes, expected {label.file_size_bytes}")
    text = encode_json(label)
    with atomic_file(path) as file:
        writer = ArchiveWriter(file)
        writer.add(LABEL_MEMBER, len(text), [text])
        for name in sorted(metadata):
            writer.add(name, len(metadata[name]), [metadata[name]])
        writer.add(BUNDLE_MEMBER, size_bytes, _pieces(bundle))
        writer.finish()


def open_parcel(path: Path) -> Parcel:
    """Read a parcel's head and check its form to the end.

    Raises:
        InputError: no such file.
        TrustError: not the bytes that `write_parcel` writes.
    """
    metadata: dict[str, bytes] = {}
    with file_errors(path, doing="reading"), path.open("rb") as file:
        reader = ArchiveReader(file)
        label = _label(reader)
        total_bytes = 0
        while (header := _header(reader))[0] != BUNDLE_MEMBER:
            name, size_bytes = header
            total_bytes += size_bytes
            if size_bytes > METADATA_LIMIT_BYTES or total_bytes > TOTAL_LIMIT_BYTES:
                raise TrustError(f"parcel: {name} is larger than any metadata may be")
            if not _METADATA.fullmatch(name) or len(metadata) == METADATA_LIMIT:
                raise TrustError(f"parcel: unexpected member {name[:80]!r}", hint="fetch it again")
            metadata[name] = b"".join(reader.chunks(size_bytes))
        if header[1] != label.file_size_bytes:
            raise TrustError("parcel: the bundle is not of the size that the label says")
        offset = reader.position
        for _ in reader.chunks(header[1]):
            pass
        if reader.next_header() is not None:
            raise TrustError("parcel: something follows the bundle", hint="fetch it again")
    return Parcel(path=path, label=label, metadata=metadata, offset=offset)


def _header(reader: ArchiveReader) -> tuple[str, int]:
    header = reader.next_header()
    if header is None:
        raise TrustError("parcel: it ends without a bundle", hint="fetch it again")
    return header


def _label(reader: ArchiveReader) -> Label:
    name, size_bytes = _header(reader)
    if name != LABEL_MEMBER or size_bytes > LABEL_LIMIT_BYTES:
        raise TrustError("not a parcel: it does not begin with parcel.json", hint="check the file")
    try:
        label = decode_json(b"".join(reader.chunks(size_bytes)), Label, source=LABEL_MEMBER)
    except InputError as error:
        raise TrustError(str(error)) from error
    if label.schema_version != SCHEMA_VERSION:
        raise TrustError(
            f"parcel.json has schema version {label.schema_version}, this edgewright reads "
            f"{SCHEMA_VERSION}",
            hint="install a newer edgewright",
        )
    return label


def _pieces(path: Path) -> Iterator[bytes]:
    with file_errors(path, doing="reading"), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
