"""A target: what a repository promises about one file, and the check of that promise while it
arrives.
"""

import hashlib
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from edgewright.errors import TrustError
from edgewright.trust.tuf_api import TargetFile

NAME_LIMIT_BYTES = 200
STRONG_HASHES: Mapping[str, Callable[[], "hashlib._Hash | hashlib.blake2b"]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "blake2b-256": lambda: hashlib.blake2b(digest_size=32),
}


def quoted(name: str) -> str:
    """A name from outside as one segment of a URL's path.

        >>> quoted("har/1.2.ewb")
        'har%2F1.2.ewb'

    Raises:
        TrustError: empty, not text, or longer than a file system takes.
    """
    try:
        text = quote(name, safe="")
    except UnicodeEncodeError as error:
        raise TrustError(f"name {name!r}: expected text, got half a character") from error
    if not 1 <= len(text) <= NAME_LIMIT_BYTES:
        raise TrustError(
            f"name {name[:40]!r}: expected 1 to {NAME_LIMIT_BYTES} bytes when percent-encoded, "
            f"got {len(text)}"
        )
    return text


def file_name_of(name: str) -> str:
    """A name from outside as the name of a local file: one path segment, never hidden, and
    different for different names.

        >>> file_name_of("../delegated")
        '%2E.%2Fdelegated'

    Raises:
        TrustError: as `quoted`.
    """
    text = quoted(name)
    return f"%2E{text[1:]}" if text.startswith(".") else text


def require_plain_name(name: str) -> None:
    """Pass when a target's name is a relative path that stays where it is put.

    Raises:
        TrustError: an absolute path, `.` or `..` in it, a backslash or a control character.
    """
    file_name_of(name)
    segments = name.split("/")
    if not name.isprintable() or "\\" in name or {"", ".", ".."} & set(segments):
        raise TrustError(
            f"target name {name!r}: expected a relative path without '.', '..', empty parts, "
            "backslashes and control characters"
        )


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What trusted metadata says about one file. `hashes` holds strong ones only; `custom` is the
    signer's own JSON about it, for the room that knows its form.
    """

    name: str
    length_bytes: int
    hashes: dict[str, str]
    custom: bytes = b"null"

    @classmethod
    def of(cls, file: TargetFile, *, role: str) -> "Target":
        """From the entry in a role's metadata.

        Raises:
            TrustError: it has no hash that counts, or a name that leaves its folder.
        """
        require_plain_name(file.path)
        hashes = {kind: text for kind, text in file.hashes.items() if kind in STRONG_HASHES}
        if not hashes:
            raise TrustError(
                f"{role}: target {file.path}: expected a hash of {', '.join(STRONG_HASHES)}, "
                f"got {', '.join(sorted(file.hashes))}"
            )
        return cls(
            name=file.path,
            length_bytes=file.length,
            hashes=hashes,
            custom=msgspec.json.encode(file.custom),
        )

    @property
    def file_name(self) -> str:
        """Its name in a local folder."""
        return file_name_of(self.name)

    @property
    def digest(self) -> str:
        """One of its hashes, to name what belongs to this content."""
        return next(iter(self.hashes.values()))

    def served_name(self, *, has_prefix: bool) -> str:
        """Where a repository keeps it: with its hash before its name where snapshots are
        consistent (TUF specification 5.7.3).
        """
        folder, slash, base = self.name.rpartition("/")
        return f"{folder}{slash}{self.digest}.{base}" if has_prefix else self.name

    def url_path(self, *, has_prefix: bool) -> str:
        """The same, below a URL."""
        return quote(self.served_name(has_prefix=has_prefix))


class ContentCheck:
    """Checks a target's bytes as they arrive; `have_bytes` of them were seen."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._digests = {kind: STRONG_HASHES[kind]() for kind in target.hashes}
        self.have_bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            TrustError: more of them than promised.
        """
        self.have_bytes += len(chunk)
        if self.have_bytes > self._target.length_bytes:
            raise TrustError(
                f"target {self._target.name}: expected {self._target.length_bytes} bytes, got more"
            )
        for digest in self._digests.values():
            digest.update(chunk)

    def finish(self) -> None:
        """Pass when all that was seen is exactly what was promised.

        Raises:
            TrustError: too few bytes, or other ones.
        """
        name, wanted = self._target.name, self._target.length_bytes
        if self.have_bytes != wanted:
            raise TrustError(f"target {name}: expected {wanted} bytes, got {self.have_bytes}")
        for kind, digest in self._digests.items():
            promised, got = self._target.hashes[kind], digest.hexdigest()
            if got != promised:
                raise TrustError(
                    f"target {name}: expected {kind} {promised[:12]}..., got {got[:12]}...",
                    hint="the mirror, or the way to it, changed the file",
                )
