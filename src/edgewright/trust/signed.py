"""TUF metadata files as values: parsed strictly, their signatures counted by distinct keys.

Stricter than the library in two places. A threshold counts public keys, not key ids, so the same
key listed under two ids is one voice. And only schemes count that need nothing but the file itself:
no helper program, no online service.
"""

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from edgewright.errors import TrustError
from edgewright.trust.keys import PublicKey, Signer
from edgewright.trust.tuf_api import (
    Key,
    Metadata,
    RepositoryError,
    Root,
    Signature,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

Kind = TypeVar("Kind", Root, Timestamp, Snapshot, Targets)
Delegator = Root | Targets

COUNTED_SCHEMES = re.compile(
    r"ed25519|ecdsa-sha2-nistp(256|384)|rsassa-pss-sha(256|384|512)|ml-dsa-(44|65|87)/1"
)
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def parsed(content: bytes, kind: type[Kind], role: str) -> Metadata[Kind]:
    """The file's content, not yet trusted.

    Raises:
        TrustError: it is not metadata of this kind.
    """
    with _foreign_errors(role):
        metadata: Metadata[Kind] = Metadata.from_bytes(content)
    if metadata.signed.type != kind.type:
        raise TrustError(f"{role}: expected {kind.type} metadata, got {metadata.signed.type}")
    return metadata


def signing_keys(metadata: Metadata[Kind], role: str, delegator: Delegator) -> tuple[str, ...]:
    """The ids of the keys whose signatures are right and count for the role, one for each distinct
    public key, sorted.
    """
    with _foreign_errors(role):
        result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    by_key = {
        _identity(key): key_id
        for key_id, key in sorted(result.signed.items(), reverse=True)
        if COUNTED_SCHEMES.fullmatch(key.scheme)
    }
    return tuple(sorted(by_key.values()))


def require_signatures(metadata: Metadata[Kind], role: str, delegator: Delegator) -> None:
    """Pass when enough of the keys that the delegator names for the role signed.

    Raises:
        TrustError: fewer than the threshold, or the delegator does not know the role.
    """
    signed_by = signing_keys(metadata, role, delegator)
    with _foreign_errors(role):
        threshold = delegator.get_delegated_role(role).threshold
    if len(signed_by) < threshold:
        named = f"{delegator.type} v{delegator.version}"
        raise TrustError(
            f"{role} v{metadata.signed.version}: expected signatures of {threshold} key(s) that "
            f"{named} names, got {len(signed_by)} good one(s)",
            hint="it was changed after signing, or signed with keys that do not count",
        )


def require_fresh(signed: Signed, role: str, now: datetime) -> None:
    """Pass when the metadata has not expired.

    Raises:
        TrustError: it has.
    """
    if signed.is_expired(now):
        raise TrustError(
            f"{role} v{signed.version}: expected an expiry after {now.strftime(TIME_FORMAT)}, "
            f"got {signed.expires.strftime(TIME_FORMAT)}",
            hint="ask the repository for newer metadata, and check this machine's clock",
        )


def tuf_key(public: PublicKey) -> Key:
    """A public key as TUF metadata lists it."""
    return Key.from_dict(public.key_id, public.tuf_fields)


def add_signature(metadata: Metadata[Kind], signer: Signer) -> None:
    """Sign the metadata as it is now, beside the signatures that it has."""
    key_id = signer.public.key_id
    text = signer.sign(metadata.signed_bytes).hex()
    metadata.signatures[key_id] = Signature(key_id, text)


def _identity(key: Key) -> str:
    """What makes two key ids the same key."""
    public = "".join(str(key.keyval.get("public", "")).split())
    return public.lower() if key.keytype == "ed25519" else public


@contextlib.contextmanager
def _foreign_errors(role: str) -> Iterator[None]:
    try:
        yield
    except (RepositoryError, ValueError) as error:
        cause = error.__cause__ or error
        raise TrustError(
            f"{role}: expected well-formed metadata, got: {type(cause).__name__}: {cause}",
            hint="the repository serves something else under this name",
        ) from error
