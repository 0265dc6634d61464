"""From a device, or from one answer it gave, back to what made it: release, keys, run, data.

An answer names its bundle, or is known by device and moment; what ran then is read from the
device's own reports, which are never thrown away. When a step was, its clock says, within what
cannot be otherwise: no later than the fleet heard of it, no earlier than the step before.
"""

from collections.abc import Iterable
from math import isfinite

import msgspec
from sqlalchemy import Connection, select

from edgewright.clock import Clock
from edgewright.contract import Provenance
from edgewright.errors import AbsentError, InputError
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.registry import find_release
from edgewright.fleet.state import State, schema
from edgewright.fleet.telemetry import readable
from edgewright.telemetry import UpdateRecord

_decoder = msgspec.json.Decoder(UpdateRecord)


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a device ran at a moment, by its own word, and who had ordered it; `rollout` is 0 where
    none did.
    """

    device: str
    since_s: float
    rollout: int = 0
    ordered_by: str = ""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release came from. `signers` are the keys whose signatures were checked when it was
    published; `aliases` are what it is called now.
    """

    model: str
    version: str
    bundle_id: str
    file_sha256: str
    signers: tuple[str, ...]
    published_at_s: float
    published_by: str
    provenance: Provenance
    aliases: tuple[str, ...] = ()
    running: Running | None = None


class Lineages(OfProject):
    """Answers where something of a project came from."""

    def __init__(self, state: State, *, clock: Clock, project: str = DEFAULT_PROJECT) -> None:
        self._state = state
        self._clock = clock
        self._project = project

    def of_release(self, reference: str) -> Lineage:
        """Of MODEL@VERSION, MODEL@ALIAS or a bundle id (the one in an answer, or its beginning).

        Raises:
            InputError: none, or more than one.
        """
        with self._state.read() as connection:
            return self._lineage(connection, reference, None)

    def of_device(self, device: str, *, model: str = "", at_s: float | None = None) -> Lineage:
        """Of what a device ran at a moment, now when none is given.

        Raises:
            InputError: it told of no such model until then, or of several and none was named; not
            a moment.
        """
        if at_s is not None and not isfinite(at_s):
            raise InputError(f"moment {at_s}: expected seconds since 1970", hint="like 1767225600")
        until_s = self._clock.wall_s() if at_s is None else at_s
        with self._state.read() as connection:
            told = ran_at(_told(connection, device, self._project), until_s)
            ran = {name: one for name, one in told.items() if model in ("", name)}
            if len(ran) != 1:
                what = f"{len(ran)} models, {sorted(ran)}" if ran else "no model that it ran"
                kind = InputError if ran else AbsentError
                raise kind(
                    f"device {device[:80]} told of {what}",
                    hint="name one with --model" if ran else "see: edgewright device list",
                )
            ((bundle_id, since_s),) = ran.values()
            rollout, by = _ordered(connection, device, bundle_id)
            running = Running(device=device, since_s=since_s, rollout=rollout, ordered_by=by)
            return self._lineage(connection, bundle_id, running)

    def _lineage(self, connection: Connection, reference: str, running: Running | None) -> Lineage:
        release = find_release(connection, reference, project=self._project)
        table = schema.aliases
        aliases = select(table.c.alias).where(
            table.c.project == self._project,
            table.c.model == release.model,
            table.c.bundle_id == release.bundle_id,
        )
        return Lineage(
            model=release.model,
            version=release.version,
            bundle_id=release.bundle_id,
            file_sha256=release.file_sha256,
            signers=release.signers,
            published_at_s=release.published_at_s,
            published_by=release.published_by,
            provenance=release.provenance,
            aliases=tuple(connection.scalars(aliases.order_by(table.c.alias))),
            running=running,
        )


def ran_at(told: Iterable[UpdateRecord], until_s: float) -> dict[str, tuple[str, float]]:
    """The bundle of each model that a device ran at a moment, and since when: what it committed
    last, or had before when it went back from that.
    """
    committed: dict[str, list[str]] = {}
    since_s: dict[str, float] = {}
    for record in told:
        mine = committed.setdefault(record.model, [])
        if record.at_s > until_s:
            continue
        if record.state == "commit" and mine[-1:] != [record.bundle]:
            mine.append(record.bundle)
            since_s[record.model] = record.at_s
        elif record.state == "rollback" and mine[-1:] == [record.bundle]:
            mine.pop()
            since_s[record.model] = record.at_s
    return {model: (mine[-1], since_s[model]) for model, mine in committed.items() if mine}


def dated(told: Iterable[tuple[UpdateRecord, float]]) -> list[UpdateRecord]:
    """Steps in their order, each with when the fleet heard of it: at moments that do not fall and
    are not after that, whatever the device's clock said.
    """
    steps, earliest_s = [], float("-inf")
    for record, heard_s in told:
        earliest_s = max(earliest_s, min(record.at_s, heard_s))
        steps.append(msgspec.structs.replace(record, at_s=earliest_s))
    return steps


def _told(connection: Connection, device: str, project: str) -> list[UpdateRecord]:
    """The steps that a device told of since it was enrolled last, oldest first."""
    table, devices = schema.records, schema.devices
    query = (
        select(table.c.content, table.c.received_at_s)
        .join(
            devices,
            (devices.c.name == table.c.device) & (devices.c.enrolment == table.c.enrolment),
        )
        .where(devices.c.project == project)
        .where(table.c.device == device, table.c.kind == "update")
        .order_by(table.c.sequence)
    )
    return dated(
        (record, row.received_at_s)
        for row in connection.execute(query)
        for record in readable([row.content], _decoder)
    )


def _ordered(connection: Connection, device: str, bundle_id: str) -> tuple[int, str]:
    members, rollouts = schema.members, schema.rollouts
    query = (
        select(rollouts.c.id, rollouts.c.created_by)
        .join(members, members.c.rollout == rollouts.c.id)
        .where(members.c.device == device, rollouts.c.bundle_id == bundle_id)
        .order_by(rollouts.c.id.desc())
    )
    row = connection.execute(query).first()
    return (row.id, row.created_by) if row else (0, "")
