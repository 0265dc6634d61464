"""The director's side: which of the released files one device shall have, signed online.

Every device sees a small TUF repository of its own: one root for all of them, and timestamp,
snapshot and targets that are made when the device asks, name its files alone and say whom they are
for: an order that is carried to another device is none there. Nothing is kept: the version is given
by the caller and never falls, and equal arguments give equal bytes.

    >>> from datetime import UTC, datetime
    >>> from edgewright.testing import MemorySigner
    >>> from edgewright.trust.metadata import TOP, TrustedSet
    >>> signer, now = MemorySigner.from_seed(1), datetime(2030, 1, 1, tzinfo=UTC)
    >>> root = founded_root(signer, now=now)
    >>> order = DirectorOrder(name="a.ewb", length_bytes=1, sha256="00" * 32, words=b'{}')
    >>> files = directed([order], device="d1", version=7, now=now, signer=signer)
    >>> trusted = TrustedSet.from_root(root, now=now, reader="d1")
    >>> trusted = trusted.with_timestamp(files["timestamp.json"])
    >>> trusted = trusted.with_snapshot(files["7.snapshot.json"])
    >>> trusted.with_targets(files["7.targets.json"], TOP).listed()
    ('a.ewb',)
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from edgewright.trust.keys import Signer
from edgewright.trust.metadata import FOR_FIELD
from edgewright.trust.repository import ROLES
from edgewright.trust.signed import add_signature, parsed, tuf_key
from edgewright.trust.tuf_api import (
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

ROOT_DAYS = 365
ORDER_DAYS = 7


class DirectorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A released file that a device shall have; `words` is JSON about it for the device."""

    name: str
    length_bytes: int
    sha256: str
    words: bytes


def founded_root(signer: Signer, *, now: datetime) -> bytes:
    """The first root of a director that one online key signs for."""
    key = signer.public
    root = Root(roles={role: Role([], 1) for role in ROLES})
    for role in ROLES:
        root.add_key(tuf_key(key), role)
    return _signed(root, now, ROOT_DAYS, signer)


def renewed_root(content: bytes, signer: Signer, *, now: datetime) -> bytes | None:
    """The next root when this one has used most of its lifetime; None when there is time.

    Raises:
        TrustError: the content is no root.
    """
    root = parsed(content, Root, Root.type).signed
    if now < root.expires - timedelta(days=ROOT_DAYS / 4):
        return None
    root.version += 1
    return _signed(root, now, ROOT_DAYS, signer)


def directed(
    orders: Iterable[DirectorOrder],
    *,
    device: str,
    version: int,
    now: datetime,
    signer: Signer,
    days: float = ORDER_DAYS,
) -> dict[str, bytes]:
    """One device's metadata by file name, all of one version, good for some days. With no `device`
    they are for whoever reads them, as directors made them who named nobody.
    """
    reader = {FOR_FIELD: device} if device else {}
    files = {
        order.name: TargetFile(
            order.length_bytes,
            {"sha256": order.sha256},
            order.name,
            {"custom": msgspec.json.decode(order.words)},
        )
        for order in orders
    }
    meta = MetaFile(version)
    targets = Targets(version=version, targets=files, unrecognized_fields=dict(reader))
    snapshot = Snapshot(
        version=version, meta={"targets.json": meta}, unrecognized_fields=dict(reader)
    )
    timestamp = Timestamp(version=version, snapshot_meta=meta, unrecognized_fields=dict(reader))
    return {
        f"{version}.targets.json": _signed(targets, now, days, signer),
        f"{version}.snapshot.json": _signed(snapshot, now, days, signer),
        "timestamp.json": _signed(timestamp, now, days, signer),
    }


def _signed(
    signed: Root | Targets | Snapshot | Timestamp, now: datetime, days: float, signer: Signer
) -> bytes:
    signed.expires = now + timedelta(days=days)
    metadata: Metadata[Any] = Metadata(signed)
    add_signature(metadata, signer)
    return metadata.to_bytes()
