"""An update as a patch: a whole bundle file told in terms of the bundle that a device has.

Blobs that are the same are copied, those of the same role and name become deltas
(`edgewright.bundle.delta`), everything else (manifest, signatures, tar headers) is compressed. The
result is the released file byte for byte, so it is verified like any download, and a patch needs no
trust of its own.

    EWP1 | length of the head | head as JSON | payloads, one after the other
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import zstandard

from edgewright._fs import atomic_file, file_errors
from edgewright.bundle.delta import apply_delta, compress, encode_delta
from edgewright.bundle.manifest import Blob
from edgewright.bundle.read import Bundle
from edgewright.errors import InputError, TrustError

MAGIC = b"EWP1"
LENGTH_BYTES = 4
HEAD_LIMIT_BYTES = 1 << 20
FILE_LIMIT_BYTES = 512 << 20
PARTS_LIMIT = 10_000
READ_LIMIT_BYTES = 4 * FILE_LIMIT_BYTES

Kind = Literal["copy", "delta", "whole"]


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of the new file: `old_sha256` is the blob that it is told by, `packed_bytes` the
    length of its payload, `size_bytes` its own.
    """

    kind: Kind
    old_sha256: str
    packed_bytes: int
    size_bytes: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch makes of what."""

    base_id: str
    sha256: str
    size_bytes: int
    parts: tuple[Part, ...]


def encode_patch(old: Bundle, new: Bundle) -> bytes:
    """The smallest patch that makes the file of `new` out of `old`.

    Raises:
        InputError: a file is too large to be patched, or `new` is not a packed bundle.
    """
    content = _read(new.path)
    parts, payloads = [], []
    for part, payload in _told(old, new, content):
        parts.append(part)
        payloads.append(payload)
    head = Head(
        base_id=old.id,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        parts=tuple(parts),
    )
    text = msgspec.json.encode(head)
    return b"".join([MAGIC, len(text).to_bytes(LENGTH_BYTES, "big"), text, *payloads])


def apply_patch(patch: Path, old: Bundle, out: Path) -> None:
    """Write the new bundle file. Its hash is the one that the patch promises; that this is the
    released one is for the reader to check, as with any download.

    Raises:
        TrustError: it is no patch, belongs to another bundle, or does not give what it promises.
    """
    content = _read(patch)
    head, start = _head(content)
    if head.base_id != old.id:
        raise TrustError(
            f"the patch is for bundle {head.base_id[:12]}, here is {old.id[:12]}",
            hint="fetch the whole bundle",
        )
    blobs = {blob.sha256: blob for blob in old.manifest.blobs}
    _check_work(head.parts, blobs)
    digest, total_bytes = hashlib.sha256(), 0
    with atomic_file(out) as file:
        for part in head.parts:
            payload = content[start : start + part.packed_bytes]
            start += part.packed_bytes
            made = _made(part, payload, old, blobs)
            digest.update(made)
            total_bytes += len(made)
            file.write(made)
        if total_bytes != head.size_bytes or digest.hexdigest() != head.sha256:
            raise TrustError(
                "the patch does not give the promised file", hint="fetch the whole bundle"
            )


def _told(old: Bundle, new: Bundle, content: bytes) -> Iterator[tuple[Part, bytes]]:
    """The new file from its beginning to its end."""
    known = {(blob.role, blob.name): blob for blob in old.manifest.blobs}
    same = {blob.sha256 for blob in old.manifest.blobs}
    at = 0
    for blob in new.manifest.distinct_blobs:
        start = new.offset(blob)
        yield _whole(content[at:start])
        at = start + blob.size_bytes
        base = known.get((blob.role, blob.name)) or known.get((blob.role, _first(old, blob)))
        if blob.sha256 in same:
            yield Part("copy", blob.sha256, 0, blob.size_bytes), b""
        elif base is None or not blob.size_bytes:
            yield _whole(content[start:at])
        else:
            delta = encode_delta(old.read(base), content[start:at])
            yield Part("delta", base.sha256, len(delta), blob.size_bytes), delta
    yield _whole(content[at:])


def _first(old: Bundle, blob: Blob) -> str:
    """The name of the old blob of the same role: an engine file may have been renamed."""
    return old.blob(blob.role).name if old.has(blob.role) else ""


def _whole(content: bytes) -> tuple[Part, bytes]:
    packed = compress(content)
    return Part("whole", "", len(packed), len(content)), packed


def _made(part: Part, payload: bytes, old: Bundle, blobs: dict[str, Blob]) -> bytes:
    """Exactly as many bytes as the part promises; no more are read or made to find out."""
    if part.kind == "whole":
        return _inflated(payload, part.size_bytes)
    blob = blobs.get(part.old_sha256)
    if blob is None:
        raise TrustError("the patch names a blob that is not here", hint="fetch the whole bundle")
    if part.kind == "copy":
        if blob.size_bytes != part.size_bytes:
            raise TrustError(
                "the patch copies a blob of another size", hint="fetch the whole bundle"
            )
        return old.read(blob)
    made = apply_delta(payload, old.read(blob), limit_bytes=part.size_bytes)
    if len(made) != part.size_bytes:
        raise TrustError("a delta of the patch is of another size", hint="fetch the whole bundle")
    return made


def _inflated(payload: bytes, size_bytes: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor().stream_reader(payload) as reader:
            content = bytes(reader.read(size_bytes + 1))
    except zstandard.ZstdError as error:
        raise TrustError(f"the patch is damaged: {error}", hint="fetch the whole bundle") from error
    if len(content) != size_bytes:
        raise TrustError("the patch is damaged", hint="fetch the whole bundle")
    return content


def _head(content: bytes) -> tuple[Head, int]:
    first = len(MAGIC) + LENGTH_BYTES
    length = int.from_bytes(content[len(MAGIC) : first], "big")
    if not content.startswith(MAGIC) or length > HEAD_LIMIT_BYTES:
        raise TrustError("not a patch of this format", hint="fetch the whole bundle")
    try:
        head = msgspec.json.decode(content[first : first + length], type=Head)
    except msgspec.DecodeError as error:
        raise TrustError(f"the patch's head: {error}", hint="fetch the whole bundle") from error
    total_bytes = sum(part.size_bytes for part in head.parts)
    if total_bytes != head.size_bytes or total_bytes > FILE_LIMIT_BYTES:
        raise TrustError("the patch's parts do not add up", hint="fetch the whole bundle")
    return head, first + length


def _check_work(parts: tuple[Part, ...], blobs: dict[str, Blob]) -> None:
    """There is an end to the work that a small patch may ask for: `_head` bounds what is made, this
    what is read for it.
    """
    deltas = [part for part in parts if part.kind == "delta"]
    read_bytes = sum(
        blobs[part.old_sha256].size_bytes for part in deltas if part.old_sha256 in blobs
    )
    is_sound = all(
        part.packed_bytes >= 0 and part.size_bytes >= (part.kind == "delta") for part in parts
    )
    if not is_sound or len(parts) > PARTS_LIMIT or read_bytes > READ_LIMIT_BYTES:
        raise TrustError("the patch asks for too much", hint="fetch the whole bundle")


def _read(path: Path) -> bytes:
    with file_errors(path, doing="reading"), path.open("rb") as file:
        content = file.read(FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise InputError(f"{path} is too large for a patch", hint="send the whole bundle")
    return content
