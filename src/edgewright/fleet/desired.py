"""What a device is to run, found by its secret or certificate: the one query of a poll."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Exists, bindparam, exists, func, or_, select

from edgewright.fleet.secret import hash_of
from edgewright.fleet.state import State, schema
from edgewright.wire.device_api import Desired, DesiredModel

_encoder = msgspec.json.Encoder()


class Poll(msgspec.Struct, frozen=True):
    """The answer to a poll, and whether the device's rollout waits to see or hear of it."""

    device: str
    enrolment: int
    body: bytes
    etag: str
    is_pending: bool
    is_ordered: bool
    project: str


def look_up(state: State, secret: str) -> Poll | None:
    """The answer for whoever has this secret; None when nobody has."""
    return _poll_of(state.look(_BY_SECRET, {"secret_hash": hash_of(secret)}))


def look_up_certificate(state: State, fingerprint: str, *, now_s: float) -> Poll | None:
    """The answer for whoever has this certificate; None when it ended, or its device was revoked
    or enrolled anew since.
    """
    return _poll_of(state.look(_BY_CERTIFICATE, {"fingerprint": fingerprint, "now_s": now_s}))


def _poll_of(rows: Sequence[tuple[Any, ...]]) -> Poll | None:
    if not rows:
        return None
    device, enrolment, project, is_pending, is_ordered, command, *_ = rows[0]
    models = tuple(
        DesiredModel(
            model=model,
            version=version,
            bundle_id=bundle_id,
            file_sha256=file_sha256,
            file_size_bytes=file_size_bytes,
            rollout=str(rollout),
        )
        for *_, model, bundle_id, rollout, version, file_sha256, file_size_bytes in rows
        if bundle_id is not None
    )
    desired = Desired(models=models, command=command or 0)
    body, etag = encoded(desired) if models or command else _NOTHING
    return Poll(device, enrolment, body, etag, bool(is_pending), bool(is_ordered), project)


def may_fetch(connection: Connection, device: str, bundle_id: str) -> bool:
    """Whether a bundle is this device's business: desired of it now, or ordered at some time, so
    that a download under way does not break when its order is withdrawn.
    """
    assigned, members, rollouts = schema.assignments, schema.members, schema.rollouts
    desired = exists(
        select(assigned.c.device).where(
            assigned.c.device == device, assigned.c.bundle_id == bundle_id
        )
    )
    ordered = exists(
        select(members.c.device)
        .join(rollouts, rollouts.c.id == members.c.rollout)
        .where(members.c.device == device, members.c.standing != "waiting")
        .where(rollouts.c.bundle_id == bundle_id)
    )
    return bool(connection.scalar(select(or_(desired, ordered))))


def encoded(desired: Desired) -> tuple[bytes, str]:
    """The body and its ETag, which names the content and nothing else."""
    body = _encoder.encode(desired)
    return body, f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def _awaits(standing: str, *statuses: str) -> Exists:
    """Whether a rollout in one of these statuses has the device in this standing.

    Comparisons instead of IN, whose list would be expanded anew at every poll.
    """
    members, rollouts = schema.members, schema.rollouts
    query = select(members.c.device).where(
        members.c.device == schema.devices.c.name, members.c.standing == standing
    )
    if statuses:
        query = query.join(rollouts, rollouts.c.id == members.c.rollout)
        query = query.where(or_(*(rollouts.c.status == status for status in statuses)))
    return exists(query)


_NOTHING = encoded(Desired())
_COMMAND = (
    select(func.max(schema.commands.c.id))
    .where(schema.commands.c.device == schema.devices.c.name)
    .where(schema.commands.c.status == "ordered")
    .scalar_subquery()
    .label("command")
)
_EVERY = (
    select(
        schema.devices.c.name,
        schema.devices.c.enrolment,
        schema.devices.c.project,
        _awaits("pending", "running", "trailing").label("is_pending"),
        _awaits("ordered").label("is_ordered"),
        _COMMAND,
        schema.assignments.c.model,
        schema.assignments.c.bundle_id,
        schema.assignments.c.rollout,
        schema.releases.c.version,
        schema.releases.c.file_sha256,
        schema.releases.c.file_size_bytes,
    )
    .select_from(schema.devices)
    .outerjoin(schema.assignments, schema.assignments.c.device == schema.devices.c.name)
    .outerjoin(
        schema.releases,
        (schema.releases.c.bundle_id == schema.assignments.c.bundle_id)
        & (schema.releases.c.project == schema.devices.c.project),
    )
    .where(~schema.devices.c.is_revoked)
    .order_by(schema.assignments.c.model)
)
_BY_SECRET = _EVERY.where(schema.devices.c.secret_hash == bindparam("secret_hash"))
_BY_CERTIFICATE = _EVERY.join(
    schema.certificates,
    (schema.certificates.c.device == schema.devices.c.name)
    & (schema.certificates.c.enrolment == schema.devices.c.enrolment),
).where(
    schema.certificates.c.fingerprint == bindparam("fingerprint"),
    schema.certificates.c.not_after_s > bindparam("now_s"),
)
