"""Remote commands, the side of the devices: what they fetch, what they send, what they tell."""

from pathlib import Path

from sqlalchemy import Connection, select, update

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.errors import AbsentError, InputError
from edgewright.fleet.kits import Kits
from edgewright.fleet.remote_commands import (
    GRACE_S,
    TEXT_CHARACTERS,
    UPLOAD_LIMIT_BYTES,
    CommandStep,
)
from edgewright.fleet.state import State, schema
from edgewright.wire.remote_commands import (
    CAPTURE_MOST_BYTES,
    CommandReport,
    RemoteCommand,
    RemoteCommands,
)

UPLOADS_KEPT = 5
"""Files of one device; the oldest goes first."""


class DeskCommands:
    """Each device may see and answer its own commands, whatever its project."""

    def __init__(self, state: State, *, clock: Clock, uploads: Path, kits: Kits) -> None:
        self._state = state
        self._clock = clock
        self._uploads = uploads
        self._kits = kits

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
                CommandStep(
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
                      "text": report.text[:TEXT_CHARACTERS]}  # fmt: skip
            connection.execute(update(table).where(table.c.id == number).values(values))
            CommandStep(
                project=project,
                device=device,
                number=number,
                who=f"device {device}",
                what=report.outcome,
                why=report.text[:200],
            ).write(connection, at_s=now_s)
        self._kits.drop(number)

    def kit(self, device: str, number: int, *, at: int) -> bytes:
        """A part of the kit that a device is to measure, from a byte on; empty at its end.

        Raises:
            AbsentError: the device was given no such command, or told of it already.
        """
        with self._state.read() as connection:
            self._require_fetched(connection, device, number)
        return self._kits.part(number, at=at)

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
            CommandStep(
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


def _check_part(number: int, kind: str, *, have: int, at: int, size: int) -> None:
    """Pass when a file may come so, or a part of one may follow what is there."""
    if kind != "capture" and (at or have):
        raise InputError(f"command {number} has its file already")
    if at != have:
        raise InputError(f"command {number}: a part from byte {at} on, expected from {have} on")
    if size > CAPTURE_MOST_BYTES:
        raise InputError(f"a capture of {size} bytes, at most {CAPTURE_MOST_BYTES} are taken")
