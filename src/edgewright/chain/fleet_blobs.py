"""Where a fleet's release files are: in its home, or in a store that HOME/blobs.json names.

HOME/releases/     the files, or copies of those that were asked for
HOME/blobs.json    names a store elsewhere: {"url": "s3://bucket/prefix?endpoint=..."}
"""

from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, UnavailableError
from edgewright.stores import BlobStore, FolderBlobs, LocalBlobStore, ShelvedBlobs

RELEASES = "releases"
BLOBS_CHOICE = "blobs.json"

_LIMIT_BYTES = 64 << 10


class _Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str


def open_blobs(home: Path) -> LocalBlobStore:
    """The release files of a home.

    Raises:
        UnavailableError: their store needs an extra that is not installed.
    """
    shelf = FolderBlobs(home / RELEASES)
    url = _chosen(home)
    return ShelvedBlobs(open_store(url), shelf) if url else shelf


def open_store(url: str) -> BlobStore:
    """A store of blobs elsewhere: s3://bucket/prefix, or a folder that is there.

    Raises:
        InputError: not an address of one.
        UnavailableError: the extra is not installed.
    """
    if url and "://" not in url and Path(url).is_dir():
        return FolderBlobs(Path(url))
    if not url.startswith("s3://"):
        raise InputError(
            f"{url[:80]!r} is no store of release files",
            hint="write s3://bucket/prefix?endpoint=https://host, or a folder that is there",
        )
    try:
        from edgewright.stores.s3 import S3Blobs  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"this store needs {error.name}, which is not installed",
            hint="pip install 'edgewright[s3]'",
        ) from error
    return S3Blobs(url)


def choose_blobs(home: Path, url: str) -> int:
    """Let a home keep its release files in a store, and bring there what it has; afterwards every
    command finds it. Returns how many files were brought.

    Raises:
        InputError: not a store, or the home has another one already.
        TransportError: it does not answer.
    """
    store = open_store(url)
    if isinstance(store, FolderBlobs):
        url = str(Path(url).resolve())
    before = _chosen(home)
    if before and before != url:
        raise InputError(
            f"the release files of {home} are in another store already",
            hint="to move them: edgewright fleet backup FILE; fleet restore FILE --home NEW",
        )
    brought = ShelvedBlobs(store, FolderBlobs(home / RELEASES)).bring_all()
    if not before:
        _fs.make_dirs(home)
        _fs.write_atomic(home / BLOBS_CHOICE, encode_json(_Choice(url=url)), mode=0o600)
    return brought


def _chosen(home: Path) -> str:
    path = home / BLOBS_CHOICE
    if not path.exists():
        return ""
    content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, _Choice, source=str(path)).url
