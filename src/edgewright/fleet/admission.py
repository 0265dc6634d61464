"""Letting devices in, as steps of one transaction: spend a token, put a device on the list."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from edgewright.errors import InputError, TrustError
from edgewright.fleet.secret import hash_of
from edgewright.fleet.state import schema

PIN_MARK = "."
"""Between a token and the fingerprint of the authority that the device is to believe."""


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """What opened the door, and what it allows."""

    given_by: str
    project: str
    labels: Mapping[str, str] = {}
    needs_approval: bool = False
    may_replace: bool = False


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """A device to be put on the list."""

    device: str
    labels: Mapping[str, str]
    timezone: str = "UTC"
    secret_hash: str
    may_replace: bool = False
    project: str


def spend(connection: Connection, token: str, device: str, *, now_s: float) -> Pass:
    """Use a token once.

    Raises:
        TrustError: it is unknown, used up, expired or for another device; which one is not said.
    """
    tokens = schema.enrol_tokens
    known = tokens.c.token_hash == token_hash(token)
    row = connection.execute(select(tokens).where(known)).first()
    if (
        row is None
        or row.uses_left < 1
        or row.expires_at_s <= now_s
        or row.device not in ("", device)
    ):
        raise TrustError(
            "the enrolment token is unknown, used up or expired, or for another device",
            hint="make a new one: edgewright device token",
        )
    connection.execute(update(tokens).where(known).values(uses_left=row.uses_left - 1))
    return Pass(
        given_by=row.token_hash,
        project=row.project,
        labels=msgspec.json.decode(row.labels, type=dict[str, str]),
        needs_approval=row.needs_approval,
        may_replace=row.device == device,
    )


def token_hash(token: str) -> str:
    """How a token is known, with or without the fingerprint at its end."""
    return hash_of(token.partition(PIN_MARK)[0])


def admit(connection: Connection, newcomer: Newcomer, *, now_s: float) -> int:
    """Put a device on the list; returns the number of its enrolment, which counts its lives.

    Raises:
        InputError: a device of this name is on it and may not be replaced, or is another project's.
    """
    name, devices = newcomer.device, schema.devices
    known = connection.execute(select(devices).where(devices.c.name == name)).first()
    is_theirs = known is not None and known.project != newcomer.project
    if is_theirs or (known is not None and not known.is_revoked and not newcomer.may_replace):
        raise InputError(
            f"device {name} is enrolled already",
            hint=f"if it was wiped: edgewright device token --for {name}",
        )
    enrolment = known.enrolment + 1 if known is not None else 1
    connection.execute(delete(devices).where(devices.c.name == name))
    connection.execute(
        insert(devices).values(
            name=name,
            secret_hash=newcomer.secret_hash,
            enrolment=enrolment,
            enrolled_at_s=now_s,
            is_revoked=False,
            revision=next_revision(connection),
            timezone=newcomer.timezone,
            project=newcomer.project,
        )
    )
    replace_labels(connection, name, newcomer.labels)
    return enrolment


def next_revision(connection: Connection) -> int:
    """A number above every device's; setting it makes waiting polls of that device look again."""
    return (connection.scalar(select(func.max(schema.devices.c.revision))) or 0) + 1


def replace_labels(connection: Connection, name: str, labels: Mapping[str, str]) -> None:
    """Give a device these labels and no others."""
    connection.execute(delete(schema.labels).where(schema.labels.c.device == name))
    rows = [{"device": name, "key": key, "value": value} for key, value in labels.items()]
    if rows:
        connection.execute(insert(schema.labels), rows)
