"""Making bundles and adding signatures to them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from edgewright._fs import atomic_file, atomic_folder, file_errors, write_atomic
from edgewright.bundle import bom
from edgewright.bundle.archive import CHUNK_BYTES, ArchiveWriter
from edgewright.bundle.manifest import (
    MANIFEST_MEMBER,
    SCHEMA_VERSION,
    Blob,
    Draft,
    Manifest,
    Role,
    blob_member,
    bundle_id_of,
    encode_manifest,
    signature_member,
)
from edgewright.bundle.read import Bundle, open_bundle
from edgewright.bundle.recipients import Recipient
from edgewright.bundle.sealed import Head, open_sealed, write_sealed
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.trust import Signature, Signer

Content = bytes | Path


def build_bundle(
    path: Path,
    draft: Draft,
    contents: Iterable[tuple[Role, str, Content]],
    *,
    signers: Sequence[Signer] = (),
) -> str:
    """Write a bundle; returns its id.

    Raises:
        InputError: a name, a blob or the set of blobs breaks the manifest's rules.
        ResourceError: the disk is full, or the folder may not be written.
    """
    sources: dict[str, Content] = {}
    blobs = []
    for role, name, content in contents:
        blob = _describe(role, name, content)
        sources.setdefault(blob.sha256, content)
        blobs.append(blob)
    manifest = _manifest(draft, tuple(blobs))
    text = encode_manifest(manifest)
    signatures = [Signature.of(signer, text) for signer in signers]
    with atomic_file(path) as file:
        stored = ((blob, _chunks(sources[blob.sha256])) for blob in manifest.distinct_blobs)
        _write(file, text, stored, signatures)
    return bundle_id_of(text)


def with_bom(
    draft: Draft, contents: Iterable[tuple[Role, str, Content]]
) -> list[tuple[Role, str, Content]]:
    """The contents of a bundle, and after them its bill of materials."""
    listed = list(contents)
    blobs = [_describe(*content) for content in listed]
    return [*listed, ("sbom", bom.NAME, bom.ml_bom(draft, blobs))]


def sign_bundle(path: Path, signer: Signer) -> Bundle:
    """Add one key's signature to a bundle file; its id stays. Signing twice changes nothing."""
    bundle = open_bundle(path)
    others = [known for known in bundle.signatures if known.key_id != signer.public.key_id]
    signatures = [*others, Signature.of(signer, bundle.manifest_bytes)]
    with atomic_file(path) as file:
        stored = ((blob, bundle.chunks(blob)) for blob in bundle.manifest.distinct_blobs)
        _write(file, bundle.manifest_bytes, stored, signatures)
    return open_bundle(path)


def extend_bundle(
    path: Path,
    out: Path,
    extra: Sequence[tuple[Role, str, bytes]],
    *,
    signers: Sequence[Signer] = (),
) -> Bundle:
    """The same bundle with more files, in place of those of the same name. It has another id, so
    earlier signatures do not come along.

    Raises:
        TrustError: any byte of the bundle is not as its maker wrote it.
        InputError: the files break the manifest's rules.
    """
    bundle = open_bundle(path)
    manifest, names = bundle.manifest, {name for _, name, _ in extra}
    draft = Draft(**{field: getattr(manifest, field) for field in Draft.__struct_fields__})
    contents: list[tuple[Role, str, Content]] = [
        (blob.role, blob.name, bundle.read(blob))
        for blob in manifest.blobs
        if blob.name not in names
    ]
    build_bundle(out, draft, [*contents, *extra], signers=signers)
    return open_bundle(out)


def extract_bundle(path: Path, folder: Path) -> Bundle:
    """Write a bundle's files under their own names into a new folder, for other tools.

    Raises:
        TrustError: any byte of the bundle is not as its maker wrote it.
        InputError: the folder exists already.
    """
    if folder.exists():
        raise InputError(f"extracting into {folder}: it exists already", hint="remove it first")
    bundle = open_bundle(path)
    with atomic_folder(folder) as temp:
        for blob in bundle.manifest.blobs:
            write_atomic(temp / blob.name, bundle.chunks(blob))
    return bundle


def seal_bundle(path: Path, out: Path, recipients: Sequence[Recipient]) -> Head:
    """Encrypt a whole bundle file to these recipients, with a content key of its own. Signatures
    lie inside, so sign first.

    Raises:
        InputError: no such file, no recipient, or one twice.
        TrustError: any byte of the bundle is not as its maker wrote it.
    """
    bundle = open_bundle(path)
    manifest = bundle.manifest
    facts = {"name": manifest.name, "version": manifest.version, "bundle_id": bundle.id}
    return write_sealed(out, path, facts, recipients)


def unseal_bundle(path: Path, out: Path, content_key: bytes) -> Bundle:
    """Write the bundle file that an encrypted one holds. Every byte is checked before the first is
    written.

    Raises:
        TrustError: the key does not open it, or it was changed.
    """
    open_bundle(path, content_key=content_key)
    with open_sealed(path, content_key) as plain, atomic_file(out) as file:
        while chunk := plain.read(CHUNK_BYTES):
            file.write(chunk)
    return open_bundle(out)


def _write(
    file: IO[bytes],
    text: bytes,
    blobs: Iterable[tuple[Blob, Iterable[bytes]]],
    signatures: Iterable[Signature],
) -> None:
    writer = ArchiveWriter(file)
    writer.add(MANIFEST_MEMBER, len(text), [text])
    for blob, chunks in blobs:
        writer.add(blob_member(blob.sha256), blob.size_bytes, chunks)
    for signature in sorted(signatures, key=lambda known: known.key_id):
        content = encode_json(signature)
        writer.add(signature_member(signature.key_id), len(content), [content])
    writer.finish()


def _describe(role: Role, name: str, content: Content) -> Blob:
    digest = hashlib.sha256()
    size_bytes = 0
    for chunk in _chunks(content):
        digest.update(chunk)
        size_bytes += len(chunk)
    try:
        return Blob(role=role, name=name, sha256=digest.hexdigest(), size_bytes=size_bytes)
    except ValueError as error:
        raise InputError(str(error), hint="choose another file name") from error


def _manifest(draft: Draft, blobs: tuple[Blob, ...]) -> Manifest:
    fields = {field: getattr(draft, field) for field in draft.__struct_fields__}
    try:
        return Manifest(schema_version=SCHEMA_VERSION, blobs=blobs, **fields)
    except ValueError as error:
        raise InputError(f"bundle: {error}") from error


def _chunks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with file_errors(content, doing="reading"), content.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
