"""Rollouts in the database: the rule's state to rows and back."""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, update

from edgewright.errors import AbsentError
from edgewright.fleet.assignments import carry_out
from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_terms import Limits, Member, Note, Outcome, RolloutState, Status
from edgewright.fleet.state import schema

SAVE_EVERY_S = 5.0
"""A rollout's clock alone is stored no more often than this; a kill sets it back by as much."""


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided when a rollout was started."""

    model: str
    bundle_id: str
    query: str
    waves: str
    created_at_s: float
    created_by: str
    project: str
    options: str = "{}"


def add(connection: Connection, created: Created, state: RolloutState) -> int:
    """A new rollout; returns its number."""
    fields = msgspec.structs.asdict(created)
    fields["limits"] = msgspec.json.encode(state.limits).decode()
    result = connection.execute(insert(schema.rollouts).values(**fields, **_row(state)))
    key = result.inserted_primary_key
    number = int(key[0]) if key is not None else 0
    connection.execute(
        insert(schema.members),
        [
            {
                "rollout": number,
                "device": device,
                "previous_bundle_id": "",
                "previous_rollout": 0,
                **_member_row(member),
            }
            for device, member in state.members.items()
        ],
    )
    _write_history(connection, number, ["wave 1 opened"], created.created_at_s)
    return number


def load(connection: Connection, number: int) -> RolloutState:
    """The rule's state.

    Raises:
        AbsentError: there is no such rollout.
    """
    table = schema.rollouts
    row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        raise unknown(number)
    members = {
        device: Member(
            wave=wave, standing=standing, since_s=since_s, reason=reason, validation=validation
        )
        for device, wave, standing, since_s, reason, validation in connection.execute(
            _MEMBERS, {"number": number}
        )
    }
    return RolloutState(
        limits=msgspec.json.decode(row.limits, type=Limits),
        members=members,
        ticked_at_s=row.ticked_at_s,
        status=row.status,
        reason=row.reason,
        open_wave=row.open_wave,
        passed_at_s=row.passed_at_elapsed_s,
        elapsed_s=row.elapsed_s,
        allowance=row.allowance,
    )


def save(
    connection: Connection, number: int, before: RolloutState, outcome: Outcome, *, now_s: float
) -> bool:
    """Store what a step changed and carry out its actions; whether there was anything to store."""
    after = outcome.state
    changed = [
        (device, member)
        for device, member in after.members.items()
        if before.members[device] is not member and before.members[device] != member
    ]
    is_idle = (
        not changed and not outcome.actions and _without_clock(before) == _without_clock(after)
    )
    if is_idle and abs(now_s - before.ticked_at_s) < SAVE_EVERY_S:
        return False
    table = schema.rollouts
    connection.execute(update(table).where(table.c.id == number).values(**_row(after)))
    _save_members(connection, number, changed)
    carry_out(connection, number, outcome.actions)
    notes = [action.text for action in outcome.actions if isinstance(action, Note)]
    _write_history(connection, number, notes, now_s)
    return not is_idle


def watched(connection: Connection, *, model: str = "", project: str = "") -> list[int]:
    """The rollouts that time or devices can still change."""
    table = schema.rollouts
    query = select(table.c.id).where(table.c.is_watched)
    if model:
        query = query.where(table.c.model == model)
    if project:
        query = query.where(table.c.project == project)
    return list(connection.scalars(query.order_by(table.c.id)))


def numbers(connection: Connection, newest: int, *, project: str) -> list[int]:
    """The newest rollouts of a project, newest first."""
    table = schema.rollouts
    query = select(table.c.id).where(table.c.project == project)
    return list(connection.scalars(query.order_by(table.c.id.desc()).limit(newest)))


def project_of(connection: Connection, number: int) -> str | None:
    """Whose a rollout is; None when there is none of that number."""
    table = schema.rollouts
    return connection.scalar(select(table.c.project).where(table.c.id == number))


def busy(connection: Connection, model: str, statuses: Collection[Status]) -> set[str]:
    """The devices in rollouts of this model that are in one of these statuses."""
    members, rollouts = schema.members, schema.rollouts
    query = (
        select(members.c.device)
        .join(rollouts, rollouts.c.id == members.c.rollout)
        .where(rollouts.c.model == model, rollouts.c.status.in_(statuses))
        .where(members.c.standing != "left")
    )
    return set(connection.scalars(query))


def revoked(connection: Connection, number: int) -> list[str]:
    """Devices of a rollout that were revoked since."""
    members, devices = schema.members, schema.devices
    query = (
        select(members.c.device)
        .join(devices, devices.c.name == members.c.device)
        .where(members.c.rollout == number, devices.c.is_revoked)
        .where(members.c.standing.not_in(("succeeded", "failed", "left")))
    )
    return list(connection.scalars(query))


def bundle_id_of(connection: Connection, number: int) -> str:
    """The bundle that a rollout brings."""
    table = schema.rollouts
    return connection.scalar(select(table.c.bundle_id).where(table.c.id == number)) or ""


def revision_of(connection: Connection, number: int) -> int:
    """A number that grows with each change of a rollout that its history tells."""
    table = schema.history
    newest = select(func.max(table.c.id)).where(table.c.rollout == number)
    return connection.scalar(newest) or 0


def has_assigned(connection: Connection, number: int) -> bool:
    """Whether a device is still to run what a rollout brought."""
    table = schema.assignments
    query = select(table.c.device).where(table.c.rollout == number).limit(1)
    return connection.scalar(query) is not None


def assigned_count(connection: Connection, number: int) -> int:
    """How many devices are still to run what a rollout brought."""
    table = schema.assignments
    query = select(func.count()).select_from(table).where(table.c.rollout == number)
    return connection.scalar(query) or 0


def note(connection: Connection, number: int, text: str, *, at_s: float) -> None:
    """A line of a rollout's history that is no step of its rule."""
    _write_history(connection, number, [text], at_s)


def options_of(connection: Connection, number: int) -> RolloutOptions:
    """What was ordered beyond waves and limits."""
    table = schema.rollouts
    text = connection.scalar(select(table.c.options).where(table.c.id == number))
    return msgspec.json.decode(text or "{}", type=RolloutOptions)


def unknown(number: int) -> AbsentError:
    """What is said of a number that no rollout has."""
    return AbsentError(f"there is no rollout {number}", hint="see: edgewright rollout status")


def _row(state: RolloutState) -> dict[str, object]:
    return {
        "status": state.status,
        "is_watched": state.is_watched,
        "reason": state.reason,
        "open_wave": state.open_wave,
        "ticked_at_s": state.ticked_at_s,
        "elapsed_s": state.elapsed_s,
        "passed_at_elapsed_s": state.passed_at_s,
        "allowance": state.allowance,
    }


def _without_clock(state: RolloutState) -> tuple[object, ...]:
    return state.status, state.reason, state.open_wave, state.passed_at_s


def _member_row(member: Member) -> dict[str, object]:
    return {
        "wave": member.wave,
        "standing": member.standing,
        "since_elapsed_s": member.since_s,
        "reason": member.reason,
        "validation": member.validation,
    }


def _save_members(
    connection: Connection, number: int, changed: Sequence[tuple[str, Member]]
) -> None:
    if not changed:
        return
    table = schema.members
    statement = (
        update(table)
        .where(table.c.rollout == number, table.c.device == bindparam("of"))
        .values(
            standing=bindparam("to"),
            since_elapsed_s=bindparam("since"),
            reason=bindparam("why"),
            validation=bindparam("verdict"),
        )
    )
    connection.execute(
        statement,
        [
            {
                "of": device,
                "to": member.standing,
                "since": member.since_s,
                "why": member.reason,
                "verdict": member.validation,
            }
            for device, member in changed
        ],
    )


def _write_history(connection: Connection, number: int, texts: Sequence[str], at_s: float) -> None:
    if texts:
        connection.execute(
            insert(schema.history),
            [{"rollout": number, "at_s": at_s, "text": text} for text in texts],
        )


_MEMBERS = (
    select(
        schema.members.c.device,
        schema.members.c.wave,
        schema.members.c.standing,
        schema.members.c.since_elapsed_s,
        schema.members.c.reason,
        schema.members.c.validation,
    )
    .where(schema.members.c.rollout == bindparam("number"))
    .order_by(schema.members.c.device)
)
