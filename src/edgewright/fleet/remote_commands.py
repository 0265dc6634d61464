"""Remote commands: ordered by a person, fetched by the device once, done or not within a time.

What may be ordered is a list of kinds (`wire.remote_commands`), none of which takes a text that the
device would run (a kit to measure is signed, and the device says whose word counts); a device does
only what its own settings allow. Every step is in the audit log: ordered, fetched, what came of it,
and who read a file that was sent. The devices' side of it is `desk_commands.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import RowMapping

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.contract.decoding import suggestion
from edgewright.errors import AbsentError, ConflictError, InputError
from edgewright.fleet.admission import next_revision
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.kits import Kits
from edgewright.fleet.labels import check_name
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema
from edgewright.wire.remote_commands import (
    CAPTURE_MOST_BYTES,
    CAPTURE_MOST_S,
    KINDS,
)

LONGEST_S = 86_400.0
GRACE_S = 600.0
"""How long after its time a report of what was begun in time is taken."""
OPEN_LIMIT = 20
UPLOAD_LIMIT_BYTES = 1 << 20

CommandStatus = Literal["preparing", "ordered", "fetched", "done", "failed", "forbidden", "expired"]

TEXT_CHARACTERS = 4000
_OPEN = ("preparing", "ordered", "fetched")
_WAITING = ("preparing", "ordered")


class CommandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device is to do; `model` says which one is meant where it has several."""

    kind: str
    model: str = ""
    lifetime_s: float = 3600.0


class CommandFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A command and what came of it. Preparing: its kit is not whole yet. Expired: never fetched in
    time, or never told of.
    """

    number: int
    device: str
    kind: str
    model: str
    status: CommandStatus
    ordered_at_s: float
    ordered_by: str
    expires_at_s: float
    ended_at_s: float | None
    text: str
    upload_bytes: int


class CommandStep(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a command, for the audit log."""

    project: str
    device: str
    number: int
    who: str
    what: str
    why: str = ""

    def write(self, connection: Connection, *, at_s: float) -> None:
        deed = Deed(
            at_s=at_s,
            who=self.who,
            what=f"remote command {self.what}",
            subject=f"{self.device} command {self.number}",
            detail=self.why,
            project=self.project,
        )
        write_down(connection, deed)


class Commands(OfProject):
    """The side of the people: commands to devices of a project."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        uploads: Path,
        kits: Kits,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._state = state
        self._clock = clock
        self._uploads = uploads
        self._kits = kits
        self._project = project

    def order(self, device: str, order: CommandOrder, *, by: str) -> CommandFacts:
        """Have a device do something; it begins before `lifetime_s` are over, or not at all. What
        is to be measured waits for its kit (`add_to_kit`).

        Raises:
            AbsentError: no such device.
            InputError: not a kind of command, not a time, or too many wait for this device.
        """
        _check(order)
        table, now_s = schema.commands, self._clock.wall_s()
        with self._state.write() as connection:
            enrolment = self._enrolment(connection, device)
            waiting = select(func.count()).where(
                table.c.device == device,
                table.c.status.in_(_WAITING),
                table.c.expires_at_s > now_s,
            )
            if (connection.scalar(waiting) or 0) >= OPEN_LIMIT:
                raise InputError(
                    f"{OPEN_LIMIT} commands wait for {device} already", hint="let them expire"
                )
            values = {
                "project": self._project, "device": device, "enrolment": enrolment,
                "kind": order.kind, "model": order.model,
                "status": "preparing" if order.kind == "measure" else "ordered",
                "ordered_at_s": now_s, "ordered_by": by, "expires_at_s": now_s + order.lifetime_s,
            }  # fmt: skip
            key = connection.execute(insert(table).values(values)).inserted_primary_key
            number = int(key[0]) if key is not None else 0
            self._wake(connection, device)
            self._kits.drop_others(self._with_kits(connection))
            text = f"{order.kind} {order.model}".strip() + f", for {order.lifetime_s:g} s"
            CommandStep(
                project=self._project,
                device=device,
                number=number,
                who=by,
                what="ordered",
                why=text,
            ).write(connection, at_s=now_s)
            return self._find(connection, device, number)

    def add_to_kit(
        self, device: str, number: int, content: bytes, *, at: int, is_last: bool, by: str
    ) -> CommandFacts:
        """Keep a part of the kit of a command that was ordered; with the last one the device gets
        the command.

        Raises:
            AbsentError: there is no such command.
            ConflictError: it waits for no part, or for another one.
            InputError: the part or the kit is too large.
            ResourceError: the disk is full.
        """
        table, now_s = schema.commands, self._clock.wall_s()
        with self._state.write() as connection:
            found = self._find(connection, device, number)
            if found.status != "preparing":
                raise ConflictError(f"command {number} waits for no kit, it is {found.status}")
            size_bytes = self._kits.append(number, content, at=at)
            if not is_last:
                return found
            connection.execute(update(table).where(table.c.id == number).values(status="ordered"))
            self._wake(connection, device)
            CommandStep(
                project=self._project,
                device=device,
                number=number,
                who=by,
                what="has its kit",
                why=f"{size_bytes} bytes",
            ).write(connection, at_s=now_s)
            return self._find(connection, device, number)

    def list(self, device: str) -> tuple[CommandFacts, ...]:
        """The commands of a device, newest first.

        Raises:
            AbsentError: no such device.
        """
        table = schema.commands
        query = select(table).where(table.c.project == self._project, table.c.device == device)
        with self._state.read() as connection:
            self._enrolment(connection, device)
            rows = connection.execute(query.order_by(table.c.id.desc()).limit(100)).mappings()
            return tuple(map(self._facts, rows))

    def show(self, device: str, number: int) -> CommandFacts:
        """One of them.

        Raises:
            AbsentError: there is none.
        """
        with self._state.read() as connection:
            return self._find(connection, device, number)

    def read_upload(self, device: str, number: int, *, by: str, after: int = 0) -> bytes:
        """The file that a device sent, from a byte on; who reads it is in the audit log. Whoever
        ordered a capture and reads along while it grows is there once.

        Raises:
            AbsentError: it sent none, or it was let go since.
        """
        with self._state.write() as connection:
            found = self._find(connection, device, number)
            if not found.upload_bytes:
                raise AbsentError(f"command {number} of {device} has no file")
            if not (after > 0 and found.status == "fetched" and by == found.ordered_by):
                CommandStep(
                    project=self._project,
                    device=device,
                    number=number,
                    who=by,
                    what="file read",
                    why=f"{found.upload_bytes} bytes",
                ).write(connection, at_s=self._clock.wall_s())
        path = self._uploads / str(number)
        content = _fs.read_limited(path, limit_bytes=CAPTURE_MOST_BYTES + UPLOAD_LIMIT_BYTES)
        return content[max(after, 0) : found.upload_bytes]

    def _wake(self, connection: Connection, device: str) -> None:
        devices, revision = schema.devices, next_revision(connection)
        connection.execute(
            update(devices).where(devices.c.name == device).values(revision=revision)
        )

    def _with_kits(self, connection: Connection) -> Sequence[int]:
        """Commands of all projects that may still be measured."""
        table = schema.commands
        query = select(table.c.id).where(
            table.c.kind == "measure",
            table.c.status.in_(_OPEN),
            table.c.expires_at_s + GRACE_S > self._clock.wall_s(),
        )
        return connection.scalars(query).all()

    def _enrolment(self, connection: Connection, device: str) -> int:
        table = schema.devices
        query = select(table.c.enrolment).where(
            table.c.project == self._project, table.c.name == check_name("device", device),
            ~table.c.is_revoked,
        )  # fmt: skip
        found = connection.scalar(query)
        if found is None:
            raise AbsentError(f"there is no device {device}", hint="see: edgewright device list")
        return int(found)

    def _find(self, connection: Connection, device: str, number: int) -> CommandFacts:
        table = schema.commands
        query = select(table).where(
            table.c.project == self._project, table.c.device == device, table.c.id == number
        )
        row = connection.execute(query).mappings().first()
        if row is None:
            raise AbsentError(
                f"there is no command {number} of {device[:80]}",
                hint="see: edgewright device commands NAME",
            )
        return self._facts(row)

    def _facts(self, row: RowMapping) -> CommandFacts:
        fields = {name: row[name] for name in CommandFacts.__struct_fields__ if name != "number"}
        grace_s = GRACE_S if row["status"] == "fetched" else 0.0
        if row["status"] in _OPEN and row["expires_at_s"] + grace_s <= self._clock.wall_s():
            fields["status"] = "expired"
        return CommandFacts(number=row["id"], **fields)


def _check(order: CommandOrder) -> None:
    if order.kind not in KINDS:
        raise InputError(
            f"{order.kind[:80]!r} is no remote command; there are {', '.join(KINDS)}",
            hint=suggestion(order.kind, list(KINDS)),
        )
    if not 0 < order.lifetime_s <= LONGEST_S:
        raise InputError(
            f"a lifetime of {order.lifetime_s:g} s: expected above 0 and at most a day",
            hint="like --expires 1h",
        )
    if order.kind == "capture" and order.lifetime_s > CAPTURE_MOST_S:
        raise InputError(
            f"a capture of {order.lifetime_s:g} s: expected at most {CAPTURE_MOST_S:g} s, in which "
            "it begins and ends",
            hint="like --expires 60s",
        )
    if order.model:
        check_name("model", order.model)
