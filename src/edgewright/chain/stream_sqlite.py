"""Results as rows of an SQLite file. Here and not in the device's rooms, which hold no database."""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from edgewright._fs import make_dirs
from edgewright.chain.stream_tools import Tools
from edgewright.device.streams import config
from edgewright.device.streams.base import Result
from edgewright.errors import InputError, ResourceError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_COLUMNS = (
    "model TEXT NOT NULL, key TEXT NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, "
    "label TEXT, score REAL, state TEXT NOT NULL, changed INTEGER NOT NULL, refused TEXT, "
    "outputs TEXT, PRIMARY KEY (model, key, end_s)"
)

_NAMES = tuple(column.split()[0] for column in _COLUMNS.split(", ")[:10])
_LOCKED_S = 60.0
"""How long somebody else may write without a break."""


def sink(order: config.SqlSink, tools: Tools) -> "SqlSink":
    """Rows of a table."""
    return SqlSink(tools.path(order.path), table=order.table)


class SqlSink:
    """A row a result; a window that comes again (at least once) replaces its row."""

    wants_every = False

    def __init__(self, path: Path, *, table: str) -> None:
        if not _NAME.fullmatch(table):
            raise InputError(f"table {table!r} is no plain name", hint="results is one")
        self._path = path
        self._table = table
        make_dirs(path.parent)
        with self._errors():
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=_LOCKED_S)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS})")
            self._database.commit()
            found = self._database.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 - checked
        names = tuple(column[0] for column in found.description)
        if names != _NAMES:
            self._database.close()
            raise InputError(
                f"table {table!r} of {path} has the columns {list(names)}, expected {list(_NAMES)}",
                hint="choose another table",
            )

    async def start(self) -> None:
        """It is open."""

    async def write(self, results: Sequence[Result]) -> None:
        await asyncio.to_thread(self._write, results)  # may wait for who else writes

    def _write(self, results: Sequence[Result]) -> None:
        rows = [_row(result) for result in results]
        marks = ",".join("?" * len(rows[0]))
        with self._errors(), self._database:
            # The table's name was checked to be a plain one.
            insert = f"INSERT OR REPLACE INTO {self._table} VALUES ({marks})"  # noqa: S608
            self._database.executemany(insert, rows)

    async def close(self) -> None:
        self._database.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ResourceError(
                f"database {self._path}: {error}", hint="check the file, the disk and the table"
            ) from error


def _row(result: Result) -> tuple[object, ...]:
    return (
        result.model,
        result.key,
        result.start_s,
        result.end_s,
        result.label or None,
        result.score,
        result.state,
        result.changed,
        result.refused or None,
        msgspec.json.encode(result.outputs).decode() if result.outputs else None,
    )
