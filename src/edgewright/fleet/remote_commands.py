"""Remote commands: ordered by a person, fetched by the device once, done or not within a time.

What may be ordered is a list of kinds (`wire.remote_commands`), none of which takes a text that the
device would run; a device does only what its own settings allow. Every step is in the audit log:
ordered, fetched, what came of it, and who read a file that was sent.
"""

from pathlib import Path
from typing import Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import RowMapping

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.contract.decoding import suggestion
from edgewright.errors import AbsentError, InputError
from edgewright.fleet.admission import next_revision
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema
from edgewright.wire.remote_commands import (
    CAPTURE_MOST_BYTES,
    CAPTURE_MOST_S,
    KINDS,
    CommandReport,
    RemoteCommand,
    RemoteCommands,
)

LONGEST_S = 86_400.0
GRACE_S = 600.0
"""How long after its time a report of what was begun in time is taken."""
OPEN_LIMIT = 20
UPLOAD_LIMIT_BYTES = 1 << 20
UPLOADS_KEPT = 5
"""Files of one device; the oldest goes first."""

CommandStatus = Literal["ordered", "fetched", "done", "failed", "forbidden", "expired"]

_TEXT_CHARACTERS = 4000
_OPEN = ("ordered", "fetched")


class CommandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device is to do; `model` says which one is meant where it has several."""

    kind: str
    model: str = ""
    lifetime_s: float = 3600.0


class CommandFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A command and what came of it. Expired: never fetched in time, or never told of."""

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


class _Step(msgspec.Struct, frozen=True, kw_only=True):
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


class DeskCommands:
    """The side of the devices: each may see and answer its own commands, whatever its project."""

    def __init__(self, state: State, *, clock: Clock, uploads: Path) -> None:
        self._state = state
        self._clock = clock
        self._uploads = uploads

    def fetch(self, device: str, enrolment: int) -> RemoteCommands:
        """What a device has to do; each command is given out once."""
        table, now_s = schema.commands, self._clock.wall_s()
        mine = (table.c.device == device) & (table.c.status == "ordered")
        with self._state.write() as connection:
            rows = connection.execute(select(table).where(mine).order_by(table.c.id)).all()
            given = []
            for row in rows:
                is_good = row.enrolment == enrolment and row.expires_at_s > now_s
                status = "fetched" if is_good else "expired"
                connection.execute(update(table).where(table.c.id == row.id).values(status=status))
                _Step(
                    project=row.project,
                    device=device,
                    number=row.id,
                    who=f"device {device}",
                    what=status,
                    why=row.kind,
                ).write(connection, at_s=now_s)
                if is_good:
                    lasts_s = row.expires_at_s - now_s
                    given.append(
                        RemoteCommand(
                            number=row.id, kind=row.kind, model=row.model, lasts_s=lasts_s
                        )
                    )
        return RemoteCommands(commands=tuple(given))

    def report(self, device: str, number: int, report: CommandReport) -> None:
        """What came of a command.

        Raises:
            AbsentError: the device was given no such command, or told of it already.
        """
        table, now_s = schema.commands, self._clock.wall_s()
        with self._state.write() as connection:
            project = self._require_fetched(connection, device, number)
            values = {"status": report.outcome, "ended_at_s": now_s,
                      "text": report.text[:_TEXT_CHARACTERS]}  # fmt: skip
            connection.execute(update(table).where(table.c.id == number).values(values))
            _Step(
                project=project,
                device=device,
                number=number,
                who=f"device {device}",
                what=report.outcome,
                why=report.text[:200],
            ).write(connection, at_s=now_s)

    def upload(self, device: str, number: int, content: bytes, *, at: int = 0) -> None:
        """Keep a file that belongs to a command's result, or the part of a capture that begins at
        a byte: one that came before, whose answer was lost, is not kept twice.

        Raises:
            AbsentError: the device was given no such command, or told of it already.
            InputError: it is empty or too large, there is one already, or parts are missing.
            ResourceError: the disk is full.
        """
        if not 0 < len(content) <= UPLOAD_LIMIT_BYTES:
            raise InputError(f"a file of {len(content)} bytes, 1 to {UPLOAD_LIMIT_BYTES} are taken")
        table = schema.commands
        with self._state.write() as connection:
            project = self._require_fetched(connection, device, number)
            mine = table.c.id == number
            kind, have = connection.execute(
                select(table.c.kind, table.c.upload_bytes).where(mine)
            ).one()
            size = at + len(content)
            if kind == "capture" and 0 < size <= have:
                return
            _check_part(number, kind, have=have, at=at, size=size)
            connection.execute(update(table).where(mine).values(upload_bytes=size))
            self._append(self._uploads / str(number), content, at=at)
            if at:
                return
            self._forget_old(connection, device)
            _Step(
                project=project,
                device=device,
                number=number,
                who=f"device {device}",
                what="sent its file" if kind != "capture" else "began to send what it captures",
                why=f"{len(content)} bytes",
            ).write(connection, at_s=self._clock.wall_s())

    def _append(self, path: Path, content: bytes, *, at: int) -> None:
        """A part that a cut left behind what the table knows of is written over."""
        if at == 0:
            _fs.write_atomic(path, content, mode=0o600)
            return
        _fs.truncate(path, at)
        with _fs.appended_file(path, mode=0o600) as file:
            file.write(content)

    def _forget_old(self, connection: Connection, device: str) -> None:
        table = schema.commands
        kept = (
            select(table.c.id)
            .where(table.c.device == device, table.c.upload_bytes > 0)
            .order_by(table.c.id.desc())
        )
        for number in list(connection.scalars(kept))[UPLOADS_KEPT:]:
            connection.execute(update(table).where(table.c.id == number).values(upload_bytes=0))
            _fs.remove_tree(self._uploads / str(number))

    def _require_fetched(self, connection: Connection, device: str, number: int) -> str:
        table = schema.commands
        query = select(table.c.project, table.c.expires_at_s).where(
            table.c.id == number, table.c.device == device, table.c.status == "fetched"
        )
        row = connection.execute(query).first()
        if row is None or row.expires_at_s + GRACE_S < self._clock.wall_s():
            raise AbsentError(f"command {number} is none that {device} has to answer")
        return str(row.project)


class Commands(OfProject):
    """The side of the people: commands to devices of a project."""

    def __init__(
        self, state: State, *, clock: Clock, uploads: Path, project: str = DEFAULT_PROJECT
    ) -> None:
        self._state = state
        self._clock = clock
        self._uploads = uploads
        self._project = project

    def order(self, device: str, order: CommandOrder, *, by: str) -> CommandFacts:
        """Have a device do something; it begins before `lifetime_s` are over, or not at all.

        Raises:
            AbsentError: no such device.
            InputError: not a kind of command, not a time, or too many wait for this device.
        """
        _check(order)
        devices, table, now_s = schema.devices, schema.commands, self._clock.wall_s()
        with self._state.write() as connection:
            enrolment = self._enrolment(connection, device)
            waiting = select(func.count()).where(
                table.c.device == device, table.c.status == "ordered", table.c.expires_at_s > now_s
            )
            if (connection.scalar(waiting) or 0) >= OPEN_LIMIT:
                raise InputError(
                    f"{OPEN_LIMIT} commands wait for {device} already", hint="let them expire"
                )
            values = {
                "project": self._project, "device": device, "enrolment": enrolment,
                "kind": order.kind, "model": order.model, "status": "ordered",
                "ordered_at_s": now_s, "ordered_by": by, "expires_at_s": now_s + order.lifetime_s,
            }  # fmt: skip
            key = connection.execute(insert(table).values(values)).inserted_primary_key
            number = int(key[0]) if key is not None else 0
            revision = next_revision(connection)
            connection.execute(
                update(devices).where(devices.c.name == device).values(revision=revision)
            )
            text = f"{order.kind} {order.model}".strip() + f", for {order.lifetime_s:g} s"
            _Step(
                project=self._project,
                device=device,
                number=number,
                who=by,
                what="ordered",
                why=text,
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
                _Step(
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


def _check_part(number: int, kind: str, *, have: int, at: int, size: int) -> None:
    """Pass when a file may come so, or a part of one may follow what is there."""
    if kind != "capture" and (at or have):
        raise InputError(f"command {number} has its file already")
    if at != have:
        raise InputError(f"command {number}: a part from byte {at} on, expected from {have} on")
    if size > CAPTURE_MOST_BYTES:
        raise InputError(f"a capture of {size} bytes, at most {CAPTURE_MOST_BYTES} are taken")
