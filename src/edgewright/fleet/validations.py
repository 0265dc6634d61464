"""What devices told of their validations: the newest verdict of each device, model and bundle."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from edgewright.fleet.state import schema
from edgewright.telemetry import ValidationRecord

P95 = "latency p95"
KEPT_OF_DEVICE = 256
"""How many verdicts of one device are kept; a new one takes the place of the oldest."""

_encoder = msgspec.json.Encoder()


def note(connection: Connection, record: ValidationRecord, *, enrolment: int, number: int) -> None:
    """Keep a verdict in place of an older one; `number` is the record's row."""
    table = schema.validations
    mine = (
        (table.c.device == record.device)
        & (table.c.model == record.model)
        & (table.c.bundle_id == record.bundle)
    )
    p95 = record.figure(P95)
    values = {
        "enrolment": enrolment,
        "sequence": record.sequence,
        "record": number,
        "outcome": record.outcome,
        "p95_ms": None if p95 is None else p95.value,
        "content": _encoder.encode(record),
    }
    known = connection.execute(select(table.c.enrolment, table.c.sequence).where(mine)).first()
    if known is None:
        _make_room(connection, record.device)
        names = {"device": record.device, "model": record.model, "bundle_id": record.bundle}
        connection.execute(insert(table).values(**names, **values))
    elif (enrolment, record.sequence) > (known.enrolment, known.sequence):
        connection.execute(update(table).where(mine).values(**values))


def _make_room(connection: Connection, device: str) -> None:
    table = schema.validations
    kept = select(table.c.record).where(table.c.device == device).order_by(table.c.record.desc())
    oldest = connection.scalar(kept.offset(KEPT_OF_DEVICE - 1).limit(1))
    if oldest is not None:
        connection.execute(delete(table).where(table.c.device == device, table.c.record <= oldest))


def pairs_ms(connection: Connection, rollout: int) -> list[tuple[float, float]]:
    """For each device of a rollout that measured both: the p95 of the release that it was to run
    before and of the rollout's, in the order in which the new ones came. INVALID is no measurement.
    """
    members, rollouts, new = schema.members, schema.rollouts, schema.validations
    old = new.alias("old")
    is_new = (
        (new.c.device == members.c.device)
        & (new.c.model == rollouts.c.model)
        & (new.c.bundle_id == rollouts.c.bundle_id)
    )
    is_old = (
        (old.c.device == members.c.device)
        & (old.c.model == rollouts.c.model)
        & (old.c.bundle_id == members.c.previous_bundle_id)
    )
    query = (
        select(old.c.p95_ms, new.c.p95_ms)
        .select_from(members)
        .join(rollouts, rollouts.c.id == members.c.rollout)
        .join(new, is_new)
        .join(old, is_old)
        .where(rollouts.c.id == rollout)
        .where(new.c.outcome != "INVALID", old.c.outcome != "INVALID")
        .where(new.c.p95_ms > 0, old.c.p95_ms > 0)
        .order_by(new.c.record)
    )
    return [(before, after) for before, after in connection.execute(query)]
