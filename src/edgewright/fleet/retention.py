"""How long a fleet keeps what devices tell: numbers for a while, steps of updates and the audit log
for ever, because lineage and accountability rest on them.

Old records go a few thousand at a time, so that nobody waits for the writer; the space is used
again, the file does not shrink.
"""

from collections.abc import Sequence
from typing import get_args

import msgspec
from sqlalchemy import Connection, delete, exists, insert, select

from edgewright.clock import Clock
from edgewright.errors import InputError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.state import State, schema
from edgewright.telemetry import Record, UpdateRecord

DAY_S = 86_400.0
DEFAULT_DAYS = 90.0
AT_ONCE = 5000

_KEY = "retention_days"
_FOR_EVER = UpdateRecord
KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(Record) if kind is not _FOR_EVER)


class RetentionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """After how many days numbers of devices go; 0 keeps them for ever."""

    days: float


class Retention:
    """Forgets what is old."""

    def __init__(self, state: State, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def facts(self) -> RetentionFacts:
        """What holds now."""
        with self._state.read() as connection:
            return RetentionFacts(days=_days(connection))

    def set(self, days: float, *, by: str) -> RetentionFacts:
        """Keep numbers of devices for so many days; 0 is for ever.

        Raises:
            InputError: not a number of days.
        """
        if not 0 <= days < float("inf"):
            raise InputError(f"{days:g} days: expected 0 or more", hint="0 keeps them for ever")
        meta = schema.meta
        with self._state.write() as connection:
            connection.execute(delete(meta).where(meta.c.key == _KEY))
            connection.execute(insert(meta).values(key=_KEY, value=f"{days:g}"))
            deed = Deed(
                at_s=self._clock.wall_s(),
                who=by,
                what="retention set",
                subject="records of devices",
                detail=f"{days:g} days" if days else "for ever",
            )
            write_down(connection, deed)
        return RetentionFacts(days=days)

    def forget(self) -> int:
        """Let some of what is too old go; returns how many records went. Sessions and tokens of
        people that have ended go too.
        """
        now_s = self._clock.wall_s()
        records = schema.records
        with self._state.read() as connection:
            days = _days(connection)
            old = _old(connection, now_s - days * DAY_S) if days else []
            has_ended = any(
                connection.scalar(select(table.c.user).where(table.c.expires_at_s < now_s).limit(1))
                for table in (schema.sessions, schema.user_tokens)
            )
        if old or has_ended:
            with self._state.write() as connection:
                connection.execute(delete(records).where(records.c.id.in_(old)))
                for table in (schema.sessions, schema.user_tokens):
                    connection.execute(delete(table).where(table.c.expires_at_s < now_s))
        return len(old)


def _old(connection: Connection, before_s: float) -> list[int]:
    """Some records that may go. The newest one of each device stays: by its number the fleet tells
    an old report from a new one.
    """
    found: list[int] = []
    for kind in KINDS:
        last = 0
        while len(found) < AT_ONCE:
            page = _page(connection, kind, after=last)
            old = [number for number, at_s in page if at_s < before_s]
            if old:
                found += _followed(connection, kind, old)[: AT_ONCE - len(found)]
                last = old[-1]
            if len(old) < AT_ONCE:
                break
    return found


def _page(connection: Connection, kind: str, *, after: int) -> list[tuple[int, float]]:
    """The next records of a kind, with when they came."""
    records = schema.records
    query = (
        select(records.c.id, records.c.received_at_s)
        .where(records.c.kind == kind, records.c.id > after)
        .order_by(records.c.id)
        .limit(AT_ONCE)
    )
    return [(row.id, row.received_at_s) for row in connection.execute(query)]


def _followed(connection: Connection, kind: str, numbers: Sequence[int]) -> list[int]:
    """Those whose device told something later."""
    records, later = schema.records, schema.records.alias()
    query = (
        select(records.c.id)
        .where(records.c.kind == kind, records.c.id.between(numbers[0], numbers[-1]))
        .where(
            exists(
                select(later.c.id).where(
                    later.c.device == records.c.device,
                    later.c.enrolment == records.c.enrolment,
                    later.c.sequence > records.c.sequence,
                )
            )
        )
        .order_by(records.c.id)
    )
    wanted = set(numbers)
    return [number for number in connection.scalars(query) if number in wanted]


def _days(connection: Connection) -> float:
    text = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == _KEY))
    return float(text) if text else DEFAULT_DAYS
