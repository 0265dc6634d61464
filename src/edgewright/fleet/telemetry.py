"""Records of devices: kept once each, in order, and read into what is known of each device."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Select, delete, insert, select, update

from edgewright.errors import InputError, TrustError
from edgewright.fleet.state import State, schema
from edgewright.telemetry import Record, UpdateRecord

_CURSOR = "heard_record"
_AT_ONCE = 5000
_LAST_SEQUENCE = 2**53
_REASON_CHARACTERS = 1000

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(UpdateRecord)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of a batch were new, and how many were here already."""

    stored: int
    known: int


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an update that was not looked at before."""

    record: UpdateRecord
    enrolment: int


def keep(
    state: State, device: str, enrolment: int, records: Sequence[Record], *, now_s: float
) -> Kept:
    """Store a batch. A record that is here already stays as it is.

    Raises:
        TrustError: a record speaks for another device.
        InputError: a record's number is none.
    """
    table = schema.records
    for record in records:
        if record.device != device:
            raise TrustError(
                f"device {device} sent a record of device {record.device[:80]!r}",
                hint="a device speaks for itself only",
            )
        if not 0 <= record.sequence <= _LAST_SEQUENCE:
            raise InputError(
                f"record number {record.sequence} of device {device}: expected 0 to "
                f"{_LAST_SEQUENCE}",
                hint="number records from 1 on",
            )
    fresh = {record.sequence: record for record in reversed(records)}
    with state.write() as connection:
        known = set(
            connection.scalars(
                select(table.c.sequence).where(
                    table.c.device == device,
                    table.c.enrolment == enrolment,
                    table.c.sequence.between(min(fresh, default=0), max(fresh, default=0)),
                )
            )
        )
        rows = [
            {
                "device": device,
                "enrolment": enrolment,
                "sequence": sequence,
                "kind": type(record).__struct_config__.tag,
                "received_at_s": now_s,
                "content": _encoder.encode(record),
            }
            for sequence, record in sorted(fresh.items())
            if sequence not in known
        ]
        if rows:
            connection.execute(insert(table), rows)
    return Kept(stored=len(rows), known=len(records) - len(rows))


def has_unheard(connection: Connection) -> bool:
    """Whether there are steps of updates that were not looked at."""
    return bool(connection.scalar(_unheard(connection).with_only_columns(schema.records.c.id)))


def hear(connection: Connection) -> list[Heard]:
    """The next steps of updates, oldest first; each is given out once (when this transaction ends
    well).
    """
    rows = connection.execute(_unheard(connection).limit(_AT_ONCE)).all()
    if rows:
        connection.execute(delete(schema.meta).where(schema.meta.c.key == _CURSOR))
        connection.execute(insert(schema.meta).values(key=_CURSOR, value=str(rows[-1].id)))
    heard = [Heard(record=_decoder.decode(row.content), enrolment=row.enrolment) for row in rows]
    _report(connection, heard)
    return heard


def _unheard(connection: Connection) -> Select[tuple[int, int, bytes]]:
    cursor = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == _CURSOR))
    table = schema.records
    return (
        select(table.c.id, table.c.enrolment, table.c.content)
        .where(table.c.kind == "update", table.c.id > int(cursor or 0))
        .order_by(table.c.id)
    )


def _report(connection: Connection, heard: Sequence[Heard]) -> None:
    """Bring what is known of each device and model up to date; an older record changes nothing."""
    table = schema.reports
    for item in heard:
        record = item.record
        model = record.model or _model_of(connection, record.bundle)
        if not model:
            continue
        mine = (table.c.device == record.device) & (table.c.model == model)
        before = connection.execute(select(table).where(mine)).first()
        if before is not None and (item.enrolment, record.sequence) <= (
            before.enrolment,
            before.sequence,
        ):
            continue
        is_running = record.state == "commit"
        values = {
            "enrolment": item.enrolment,
            "sequence": record.sequence,
            "at_s": record.at_s,
            "state": record.state,
            "reason": record.reason[:_REASON_CHARACTERS],
            "bundle_id": record.bundle,
            "version": record.version,
            "running_bundle_id": before.running_bundle_id if before is not None else "",
            "running_version": before.running_version if before is not None else "",
        }
        if is_running:
            values |= {
                "running_bundle_id": record.bundle,
                "running_version": record.version or _version_of(connection, record.bundle),
            }
        if before is None:
            connection.execute(insert(table).values(device=record.device, model=model, **values))
        else:
            connection.execute(update(table).where(mine).values(**values))


def _model_of(connection: Connection, bundle_id: str) -> str:
    table = schema.releases
    return connection.scalar(select(table.c.model).where(table.c.bundle_id == bundle_id)) or ""


def _version_of(connection: Connection, bundle_id: str) -> str:
    table = schema.releases
    return connection.scalar(select(table.c.version).where(table.c.bundle_id == bundle_id)) or ""
