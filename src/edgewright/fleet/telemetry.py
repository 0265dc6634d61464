"""Records of devices: kept once each, in order, and read into what is known of each device.

A device numbers its records and sends them in order; what was not answered it sends again. So a
batch of an honest device always reaches up to the newest record that the fleet has of it, or
beyond, and repeats what is there word for word. A batch that ends before that is an old report, and
one that gives a number to something else is forged or comes from a copy of the device: both are
refused, whoever brought them and on whatever way (`OutdatedError`).

A stored record that is none by today's limits is set aside wherever records are read: one row may
not hold up what all devices tell.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from edgewright.errors import ConflictError, InputError, TrustError
from edgewright.fleet.state import State, schema
from edgewright.fleet.validations import note
from edgewright.telemetry import Record, UpdateRecord, ValidationRecord

_CURSOR = "heard_record"
_AT_ONCE = 5000
_NAMES_AT_ONCE = 500
_LAST_SEQUENCE = 2**53
_REASON_CHARACTERS = 1000
MODELS_OF_DEVICE = 64
"""How many models of one device are known; what it tells of others is kept and changes nothing."""

R = TypeVar("R")

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(UpdateRecord | ValidationRecord)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of a batch were new, and how many were here already."""

    stored: int
    known: int


class OutdatedError(ConflictError):
    """A batch is older than what is here, or says something else under a number that is taken.

    `newest` is the number of the newest record that is here; the batch's records up to `same` are
    here just as they came.
    """

    def __init__(self, batch: "Batch", *, newest: int, same: int, is_old: bool) -> None:
        what = "an old report" if is_old else "another report under a number that was used"
        super().__init__(
            f"{what} of device {batch.device}: its newest record here is {newest}",
            hint="number records on from there",
        )
        self.device = batch.device
        self.newest = newest
        self.same = same


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an update, or a verdict, that was not looked at before; `number` is its row."""

    record: UpdateRecord | ValidationRecord
    enrolment: int
    number: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one device sent at a time."""

    device: str
    enrolment: int
    records: tuple[Record, ...]


def keep(
    state: State, device: str, enrolment: int, records: Sequence[Record], *, now_s: float
) -> Kept:
    """Store a batch. A record that is here already stays as it is.

    Raises:
        TrustError: a record speaks for another device.
        InputError: a record's number is none.
        OutdatedError: it is not newer than what is here.
    """
    batch = Batch(device=device, enrolment=enrolment, records=tuple(records))
    check(batch)
    (kept,) = keep_all(state, [batch], now_s=now_s)
    if isinstance(kept, OutdatedError):
        raise kept
    return kept


def check(batch: Batch) -> None:
    """Pass when a device speaks for itself, in numbers.

    Raises:
        TrustError: a record speaks for another device.
        InputError: a record's number is none.
    """
    for record in batch.records:
        if record.device != batch.device:
            raise TrustError(
                f"device {batch.device} sent a record of device {record.device[:80]!r}",
                hint="a device speaks for itself only",
            )
        if not 0 <= record.sequence <= _LAST_SEQUENCE:
            raise InputError(
                f"record number {record.sequence} of device {batch.device}: expected 0 to "
                f"{_LAST_SEQUENCE}",
                hint="number records from 1 on",
            )


def keep_all(state: State, batches: Sequence[Batch], *, now_s: float) -> list[Kept | OutdatedError]:
    """Store checked batches in one transaction: what waits for the disk together is written
    together. Of one that is refused nothing is stored.
    """
    with state.write() as connection:
        return [_keep(connection, batch, now_s) for batch in batches]


def _keep(connection: Connection, batch: Batch, now_s: float) -> Kept | OutdatedError:
    table = schema.records
    fresh = {record.sequence: record for record in reversed(batch.records)}
    last = max(fresh, default=0)
    span = {
        "device": batch.device,
        "enrolment": batch.enrolment,
        "low": min(fresh, default=0),
        "high": last,
    }
    known = {row.sequence: bytes(row.content) for row in connection.execute(_KNOWN, span)}
    contents = {number: _encoder.encode(record) for number, record in sorted(fresh.items())}
    newest = connection.scalar(_NEWEST, span) or 0
    is_old = bool(fresh) and last < newest
    if is_old or any(known[number] != contents[number] for number in known if number in contents):
        same = _same_up_to(contents, known)
        return OutdatedError(batch, newest=newest, same=same, is_old=is_old)
    rows = [
        {
            "device": batch.device,
            "enrolment": batch.enrolment,
            "sequence": sequence,
            "kind": type(fresh[sequence]).__struct_config__.tag,
            "received_at_s": now_s,
            "content": content,
        }
        for sequence, content in contents.items()
        if sequence not in known
    ]
    if rows:
        connection.execute(insert(table), rows)
    return Kept(stored=len(rows), known=len(batch.records) - len(rows))


def _same_up_to(contents: Mapping[int, bytes], known: Mapping[int, bytes]) -> int:
    """The last of the records, oldest first, that are here as they came."""
    last = 0
    for number, content in contents.items():
        if known.get(number) != content:
            break
        last = number
    return last


def readable(contents: Iterable[bytes], decoder: "msgspec.json.Decoder[R]") -> Iterator[R]:
    """Stored records, without those that are none by today's limits."""
    for content in contents:
        record = _read(content, decoder)
        if record is not None:
            yield record


def _read(content: bytes, decoder: "msgspec.json.Decoder[R]") -> R | None:
    try:
        return decoder.decode(content)
    except msgspec.DecodeError:
        return None


def has_unheard(connection: Connection) -> bool:
    """Whether there are steps of updates or verdicts that were not looked at."""
    return bool(connection.scalar(_unheard(connection).with_only_columns(schema.records.c.id)))


def hear(connection: Connection) -> list[Heard]:
    """The next steps of updates and verdicts, oldest first; each is given out once (when this
    transaction ends well).
    """
    rows = connection.execute(_unheard(connection).limit(_AT_ONCE)).all()
    if rows:
        connection.execute(delete(schema.meta).where(schema.meta.c.key == _CURSOR))
        connection.execute(insert(schema.meta).values(key=_CURSOR, value=str(rows[-1].id)))
    heard = []
    for row in rows:
        record = _read(row.content, _decoder)
        if record is None:
            _log.warning("record=%d event=set-aside reason=it is none by today's limits", row.id)
        else:
            heard.append(Heard(record=record, enrolment=row.enrolment, number=row.id))
    _report(connection, heard)
    for item in heard:
        if isinstance(item.record, ValidationRecord):
            note(connection, item.record, enrolment=item.enrolment, number=item.number)
    return heard


def _unheard(connection: Connection) -> Select[tuple[int, int, bytes]]:
    cursor = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == _CURSOR))
    table = schema.records
    return (
        select(table.c.id, table.c.enrolment, table.c.content)
        .where(table.c.kind.in_(("update", "validation")), table.c.id > int(cursor or 0))
        .order_by(table.c.id)
    )


def _report(connection: Connection, heard: Sequence[Heard]) -> None:
    """Bring what is known of each device and model up to date; an older record changes nothing."""
    table = schema.reports
    known = _known_reports(connection, {item.record.device for item in heard})
    before = set(known)
    models = Counter(device for device, _ in known)
    changed: dict[tuple[str, str], dict[str, Any]] = {}
    names = _Releases(connection)
    for item in heard:
        record = item.record
        if isinstance(record, ValidationRecord):
            continue
        model = record.model or names.model_of(record)
        key = record.device, model
        last = known.get(key)
        if not model or (
            last is not None
            and (item.enrolment, record.sequence) <= (last["enrolment"], last["sequence"])
        ):
            continue
        if last is None:
            if models[record.device] >= MODELS_OF_DEVICE:
                _log.warning("device=%s event=not-noted reason=it tells of more than %d models",
                             record.device, MODELS_OF_DEVICE)  # fmt: skip
                continue
            models[record.device] += 1
        known[key] = changed[key] = _report_of(record, item.enrolment, last, names)
    rows = [{"device": d, "model": m, **values} for (d, m), values in changed.items()]
    new = [row for row in rows if (row["device"], row["model"]) not in before]
    if new:
        connection.execute(insert(table), new)
    if old := [row for row in rows if (row["device"], row["model"]) in before]:
        connection.execute(
            update(table).where(
                table.c.device == bindparam("of"), table.c.model == bindparam("on")
            ),
            [{"of": row.pop("device"), "on": row.pop("model"), **row} for row in old],
        )


def _report_of(
    record: UpdateRecord, enrolment: int, last: Mapping[str, Any] | None, names: "_Releases"
) -> dict[str, Any]:
    values = {
        "enrolment": enrolment,
        "sequence": record.sequence,
        "at_s": record.at_s,
        "state": record.state,
        "reason": record.reason[:_REASON_CHARACTERS],
        "bundle_id": record.bundle,
        "version": record.version,
        "running_bundle_id": last["running_bundle_id"] if last is not None else "",
        "running_version": last["running_version"] if last is not None else "",
    }
    if record.state == "commit":
        values |= {
            "running_bundle_id": record.bundle,
            "running_version": record.version or names.version_of(record),
        }
    return values


def _known_reports(
    connection: Connection, devices: Collection[str]
) -> dict[tuple[str, str], dict[str, Any]]:
    table, names = schema.reports, sorted(devices)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        part = names[start : start + _NAMES_AT_ONCE]
        query = select(table).where(table.c.device.in_(part))
        for row in connection.execute(query).mappings():
            found[row["device"], row["model"]] = dict(row)
    return found


class _Releases:
    """What releases are called in the project of the device that speaks, each looked up once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str], tuple[str, str]] = {}

    def model_of(self, record: UpdateRecord) -> str:
        return self._found(record)[0]

    def version_of(self, record: UpdateRecord) -> str:
        return self._found(record)[1]

    def _found(self, record: UpdateRecord) -> tuple[str, str]:
        key = record.device, record.bundle
        if key not in self._known:
            table, devices = schema.releases, schema.devices
            query = (
                select(table.c.model, table.c.version)
                .join(devices, devices.c.project == table.c.project)
                .where(devices.c.name == record.device, table.c.bundle_id == record.bundle)
            )
            row = self._connection.execute(query).first()
            self._known[key] = (row.model, row.version) if row else ("", "")
        return self._known[key]


_OWN = (
    schema.records.c.device == bindparam("device"),
    schema.records.c.enrolment == bindparam("enrolment"),
)
_KNOWN = select(schema.records.c.sequence, schema.records.c.content).where(
    *_OWN, schema.records.c.sequence.between(bindparam("low"), bindparam("high"))
)
_NEWEST = select(func.max(schema.records.c.sequence)).where(*_OWN)
