"""What a bundle says about itself, and the rules its manifest keeps."""

import hashlib
import re
from typing import Literal

import msgspec

from edgewright.contract import Contract, Evidence, decode_json, encode_json
from edgewright.errors import InputError, TrustError

SCHEMA_VERSION = 1
MANIFEST_LIMIT_BYTES = 1 << 20
BLOB_LIMIT = 256
DRIFT_BLOB = "drift.npz"
"""A file of this name is what the model's inputs are judged by where it is served."""

Role = Literal["model", "golden", "card", "evidence", "sbom", "hook", "file"]

MANIFEST_MEMBER = "manifest.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Blob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file inside: what it is for, its name, its content by hash and size."""

    role: Role
    name: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        check_name("blob name", self.name)
        check_sha256(f"blob {self.name!r}: sha256", self.sha256)
        if self.size_bytes < 0:
            raise ValueError(f"blob {self.name!r}: size_bytes is negative")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What the maker of a bundle decides; the blobs join when it is built."""

    name: str
    version: str
    format: str
    precision: str
    contract: Contract
    evidence: tuple[Evidence, ...] = ()


class Manifest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The signed description of a bundle."""

    schema_version: int
    name: str
    version: str
    format: str
    precision: str
    contract: Contract
    blobs: tuple[Blob, ...]
    evidence: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        for what in ("name", "version", "format", "precision"):
            check_name(what, getattr(self, what))
        if len(self.blobs) > BLOB_LIMIT:
            raise ValueError(f"{len(self.blobs)} blobs, at most {BLOB_LIMIT} are taken")
        if sum(blob.role == "model" for blob in self.blobs) != 1:
            raise ValueError("a bundle holds exactly one blob of role 'model'")
        names = [blob.name for blob in self.blobs]
        if len(set(names)) != len(names):
            raise ValueError("two blobs have the same name")

    @property
    def distinct_blobs(self) -> tuple[Blob, ...]:
        """The blobs as stored: each content once, in order of first mention."""
        return tuple({blob.sha256: blob for blob in reversed(self.blobs)}.values())[::-1]


def encode_manifest(manifest: Manifest) -> bytes:
    """The one text of a manifest."""
    return encode_json(manifest)


def decode_manifest(content: bytes) -> Manifest:
    """The manifest of a text that somebody else wrote.

    Raises:
        TrustError: it is not a manifest, or one of a newer schema.
    """
    try:
        version = decode_json(content, _Version, source="manifest.json").schema_version
        if version != SCHEMA_VERSION:
            raise TrustError(
                f"manifest.json has schema version {version}, this edgewright reads "
                f"{SCHEMA_VERSION}",
                hint="install a newer edgewright",
            )
        return decode_json(content, Manifest, source="manifest.json")
    except InputError as error:
        raise TrustError(str(error)) from error


def bundle_id_of(manifest_bytes: bytes) -> str:
    """A bundle's name for machines."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def blob_member(sha256: str) -> str:
    """Where a blob lies, in the file and in an unpacked folder."""
    return f"blobs/{sha256}"


def signature_member(key_id: str) -> str:
    """Where a signature lies, in the file and in an unpacked folder."""
    return f"signatures/{key_id}.json"


class _Version(msgspec.Struct):
    schema_version: int


def check_sha256(what: str, value: str) -> None:
    """Pass when this names content by its hash.

    Raises:
        ValueError: it does not.
    """
    if not _SHA256.fullmatch(value):
        raise ValueError(f"{what} is not 64 lower-case hex digits")


def check_name(what: str, value: str) -> None:
    """Pass when this may name a model, a version or a file.

    Raises:
        ValueError: it may not.
    """
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{what} {value!r}: expected 1 to 128 of letters, digits, '.', '_', '+', '-', "
            "beginning with a letter or digit"
        )
