"""What is new since somebody was told: history of rollouts, audit log, alerts, as deliveries.

The place in each of them is kept in the transaction that makes the deliveries.
"""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from edgewright.clock import iso
from edgewright.fleet.notify.alarms import Key, compare
from edgewright.fleet.notify.base import Notice
from edgewright.fleet.state import schema

AT_ONCE = 500
MOST_WAITING = 10_000
KEEP_DELIVERED_S = 7 * 86_400.0

DELIVERY_REFUSED = "delivery refused"
"""In the audit log and nowhere else: told of it, its own receiver would cause the next one."""

_REFUSED = "request refused"
_HISTORY, _AUDIT, _ALERTS, _FLEET = (
    "notify_history",
    "notify_audit",
    "notify_alerts",
    "notify_fleet_id",
)
_Told = list[tuple[Key, float]]


def move_to_newest(connection: Connection) -> None:
    """When nobody was told so far, news begin now."""
    if connection.scalar(select(func.count()).select_from(schema.notifiers)):
        return
    _set(connection, _HISTORY, str(connection.scalar(select(func.max(schema.history.c.id))) or 0))
    _set(connection, _AUDIT, str(connection.scalar(select(func.max(schema.audit.c.sequence))) or 0))


def wanted_topics(connection: Connection) -> dict[str, frozenset[str]]:
    """What anybody in each project wants to hear of."""
    table = schema.notifiers
    found: dict[str, frozenset[str]] = {}
    for row in connection.execute(select(table.c.project, table.c.topics)):
        found[row.project] = found.get(row.project, frozenset()) | set(row.topics.split(","))
    return found


def has_news(connection: Connection) -> bool:
    """Whether the history or the audit log went on."""
    newest_step = connection.scalar(select(func.max(schema.history.c.id))) or 0
    newest_deed = connection.scalar(select(func.max(schema.audit.c.sequence))) or 0
    return newest_step > _place(connection, _HISTORY) or newest_deed > _place(connection, _AUDIT)


def gather(connection: Connection, *, fleet_id: str, now_s: float) -> int:
    """Make deliveries of what the history and the audit log hold since the last call; returns how
    many. `fleet_id` is the one that is kept when there is none yet.
    """
    prefix = _fleet_id(connection, fleet_id)
    notices = [*_steps(connection, prefix), *_deeds(connection, prefix)]
    return _hand_out(connection, notices, now_s)


def gather_alerts(
    connection: Connection,
    project: str,
    alerts: Mapping[Key, str],
    *,
    fleet_id: str,
    now_s: float,
) -> int:
    """Make deliveries of the alerts of a project that began or ended since the last call."""
    prefix = _fleet_id(connection, fleet_id)
    place = f"{_ALERTS}:{project}"
    text = _get(connection, place)
    told = dict(msgspec.json.decode(text, type=_Told)) if text else {}
    found = compare(told, alerts, now_s=now_s)
    if found.told.keys() != told.keys() or found.told:
        content = msgspec.json.encode([(key, seen_s) for key, seen_s in found.told.items()])
        _set(connection, place, content.decode())
    notices = [
        Notice(
            id=f"{prefix}-alert-{project}-{int(now_s * 1000)}-{number}",
            project=project,
            topic="alert",
            at=iso(now_s),
            subject=change.subject,
            text=change.text,
            devices=change.devices,
        )
        for number, change in enumerate(found.fresh)
    ]
    return _hand_out(connection, notices, now_s)


def forget_old(connection: Connection, *, now_s: float) -> None:
    """Let deliveries go that came to their end a week ago."""
    table = schema.deliveries
    connection.execute(
        delete(table).where(table.c.standing != "waiting", table.c.at_s < now_s - KEEP_DELIVERED_S)
    )


def _steps(connection: Connection, prefix: str) -> list[Notice]:
    table, rollouts = schema.history, schema.rollouts
    query = (
        select(
            table.c.id,
            table.c.rollout,
            table.c.at_s,
            table.c.text,
            rollouts.c.model,
            rollouts.c.project,
        )
        .join(rollouts, rollouts.c.id == table.c.rollout)
        .where(table.c.id > _place(connection, _HISTORY))
    )
    rows = connection.execute(query.order_by(table.c.id).limit(AT_ONCE)).all()
    if rows:
        _set(connection, _HISTORY, str(rows[-1].id))
    return [
        Notice(
            id=f"{prefix}-history-{row.id}",
            project=row.project,
            topic="rollout",
            at=iso(row.at_s),
            subject=f"rollout {row.rollout} of {row.model}",
            text=row.text,
        )
        for row in rows
    ]


def _deeds(connection: Connection, prefix: str) -> list[Notice]:
    table = schema.audit
    query = select(table).where(table.c.sequence > _place(connection, _AUDIT))
    rows = connection.execute(query.order_by(table.c.sequence).limit(AT_ONCE)).all()
    if rows:
        _set(connection, _AUDIT, str(rows[-1].sequence))
    return [
        Notice(
            id=f"{prefix}-audit-{row.sequence}",
            project=row.project,
            topic="refused" if row.what.startswith(_REFUSED) else "audit",
            at=iso(row.at_s),
            subject=f"{row.what} {row.subject}",
            text=row.detail,
            who=row.who,
        )
        for row in rows
        if row.what != DELIVERY_REFUSED
    ]


def _hand_out(connection: Connection, notices: Sequence[Notice], now_s: float) -> int:
    """A delivery of each notice for each notifier that wants its kind."""
    table, receivers = schema.deliveries, schema.notifiers
    if not notices:
        return 0
    columns = (receivers.c.project, receivers.c.name, receivers.c.topics, receivers.c.hears_fleet)
    rows = connection.execute(select(*columns)).all()
    is_one = connection.scalar(select(func.count()).select_from(schema.projects)) == 1
    made = [
        delivery_row(row.project, row.name, notice, now_s=now_s)
        for notice in notices
        for row in rows
        if notice.topic in row.topics.split(",")
        and (notice.project == row.project or (not notice.project and (row.hears_fleet or is_one)))
    ]
    if made:
        connection.execute(insert(table), made)
        for project, name in {(row["project"], row["notifier"]) for row in made}:
            _hold_to_limit(connection, (table.c.project == project) & (table.c.notifier == name))
    return len(made)


def delivery_row(project: str, notifier: str, notice: Notice, *, now_s: float) -> dict[str, object]:
    """A delivery that waits."""
    return {
        "project": project,
        "notifier": notifier,
        "message_id": notice.id,
        "at_s": now_s,
        "topic": notice.topic,
        "body": msgspec.json.encode(notice).decode(),
        "attempts": 0,
        "standing": "waiting",
        "error": "",
    }


def _hold_to_limit(connection: Connection, is_its: ColumnElement[bool]) -> None:
    """A receiver that is away for long loses its oldest news, not the fleet its disk."""
    table = schema.deliveries
    waiting = select(table.c.id).where(is_its, table.c.standing == "waiting")
    last_kept = connection.scalar(waiting.order_by(table.c.id.desc()).offset(MOST_WAITING).limit(1))
    if last_kept is not None:
        connection.execute(
            table.update()
            .where(is_its, table.c.standing == "waiting", table.c.id <= last_kept)
            .values(standing="given up", error=f"more than {MOST_WAITING} waited")
        )


def _fleet_id(connection: Connection, drawn: str) -> str:
    """What tells this fleet's ids from another's; the one that was drawn first stays."""
    kept = _get(connection, _FLEET)
    if not kept:
        _set(connection, _FLEET, drawn)
    return kept or drawn


def _place(connection: Connection, key: str) -> int:
    return int(_get(connection, key) or 0)


def _get(connection: Connection, key: str) -> str:
    return connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == key)) or ""


def _set(connection: Connection, key: str, value: str) -> None:
    connection.execute(delete(schema.meta).where(schema.meta.c.key == key))
    connection.execute(insert(schema.meta).values(key=key, value=value))
