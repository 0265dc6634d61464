"""What each device is to run: orders and recalls of rollouts, carried out."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from edgewright.fleet.admission import next_revision
from edgewright.fleet.rollout_terms import Action, Order, Recall
from edgewright.fleet.state import schema

_AT_ONCE = 500


def carry_out(connection: Connection, number: int, actions: Iterable[Action]) -> None:
    """The last of a device's orders and recalls in a step is the one that holds."""
    wanted = {action.device: action for action in actions if isinstance(action, Order | Recall)}
    ordered = [device for device, action in wanted.items() if isinstance(action, Order)]
    recalled = [device for device, action in wanted.items() if isinstance(action, Recall)]
    if ordered:
        _order(connection, number, ordered)
    if recalled:
        _recall(connection, number, recalled)


def _order(connection: Connection, number: int, devices: Sequence[str]) -> None:
    rollout = connection.execute(
        select(schema.rollouts.c.model, schema.rollouts.c.bundle_id).where(
            schema.rollouts.c.id == number
        )
    ).one()
    before = _assigned(connection, rollout.model, devices)
    members = schema.members
    fresh = [device for device in devices if before.get(device, ("", 0))[1] != number]
    if fresh:
        connection.execute(
            update(members)
            .where(members.c.rollout == number, members.c.device == bindparam("of"))
            .values(previous_bundle_id=bindparam("bundle"), previous_rollout=bindparam("from")),
            [
                {
                    "of": device,
                    "bundle": before.get(device, ("", 0))[0],
                    "from": before.get(device, ("", 0))[1],
                }
                for device in fresh
            ],
        )
    _assign(connection, rollout.model, dict.fromkeys(devices, (rollout.bundle_id, number)))


def _recall(connection: Connection, number: int, devices: Sequence[str]) -> None:
    """Back to what was assigned before the order, unless a newer rollout has decided since."""
    model = connection.scalar(select(schema.rollouts.c.model).where(schema.rollouts.c.id == number))
    now = _assigned(connection, model or "", devices)
    mine = [device for device in devices if now.get(device, ("", 0))[1] == number]
    members = schema.members
    previous: dict[str, tuple[str, int]] = {}
    for part in _parts(mine):
        query = select(members).where(members.c.rollout == number, members.c.device.in_(part))
        for row in connection.execute(query):
            previous[row.device] = (row.previous_bundle_id, row.previous_rollout)
    _assign(connection, model or "", previous)
    _forget_as_previous(connection, number, devices)


def _forget_as_previous(connection: Connection, number: int, devices: Sequence[str]) -> None:
    """A newer rollout that is recalled later may not bring back what is taken back now: its devices
    go to what they had before this rollout.
    """
    members = schema.members
    own = members.alias()
    for part in _parts(devices):
        took_over = (
            members.c.previous_rollout == number,
            members.c.rollout != number,
            members.c.device.in_(part),
            members.c.device == own.c.device,
            own.c.rollout == number,
        )
        connection.execute(
            update(members)
            .where(*took_over)
            .values(
                previous_bundle_id=own.c.previous_bundle_id,
                previous_rollout=own.c.previous_rollout,
            )
        )


def _assigned(
    connection: Connection, model: str, devices: Sequence[str]
) -> dict[str, tuple[str, int]]:
    table = schema.assignments
    found: dict[str, tuple[str, int]] = {}
    for part in _parts(devices):
        query = select(table).where(table.c.model == model, table.c.device.in_(part))
        found |= {row.device: (row.bundle_id, row.rollout) for row in connection.execute(query)}
    return found


def _assign(connection: Connection, model: str, wanted: dict[str, tuple[str, int]]) -> None:
    """What devices are to run; an empty bundle id takes the model away. Wakes their polls."""
    if not wanted:
        return
    table, devices = schema.assignments, schema.devices
    revision = next_revision(connection)
    for part in _parts(list(wanted)):
        connection.execute(delete(table).where(table.c.model == model, table.c.device.in_(part)))
        connection.execute(
            update(devices).where(devices.c.name.in_(part)).values(revision=revision)
        )
    rows = [
        {"device": device, "model": model, "bundle_id": bundle_id, "rollout": rollout}
        for device, (bundle_id, rollout) in wanted.items()
        if bundle_id
    ]
    if rows:
        connection.execute(insert(table), rows)


def _parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))
