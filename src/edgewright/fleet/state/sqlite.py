"""The state in one SQLite file: write-ahead log, full fsync, one writer at a time."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, create_engine, event, insert
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import QueuePool

from edgewright import _fs
from edgewright.errors import EdgewrightError, InputError, ResourceError
from edgewright.fleet.state.migrations import migrate
from edgewright.fleet.state.schema import (
    DEFAULT_PROJECT,
    SCHEMA_VERSION,
    meta,
    metadata,
    projects,
)

BUSY_TIMEOUT_MS = 10_000

_WRITES = "edgewright_writes"
_POOLED = 4
_AT_MOST = 64


class SqliteState:
    """One file, made when it is absent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _fs.make_dirs(path.parent)
        self._engine = _engine(path)
        self._watch_lock = threading.Lock()
        try:
            with _fs.file_errors(path, doing="creating"):
                path.touch(mode=0o600)
            with self.write() as connection:
                _prepare(connection, path)
        except EdgewrightError:
            self._engine.dispose()
            raise
        self._watcher = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lookers = threading.local()
        self._opened: list[sqlite3.Connection] = [self._watcher]
        self._looks: dict[Select[Any], tuple[str, Sequence[str], Mapping[str, Any]]] = {}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    def look(self, query: Select[Any], values: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        """See `State`: the query is put into words once, and goes straight to the driver."""
        text, names, constants = self._looks.get(query) or self._worded(query)
        known = {**constants, **values}
        with self._translated():
            cursor = self._looker().execute(text, [known[name] for name in names])
            return cursor.fetchall()

    def _worded(self, query: Select[Any]) -> tuple[str, Sequence[str], Mapping[str, Any]]:
        compiled = query.compile(self._engine)
        worded = str(compiled), compiled.positiontup or (), compiled.params
        self._looks[query] = worded
        return worded

    def _looker(self) -> sqlite3.Connection:
        """This thread's own connection; each query is a snapshot by itself."""
        found: sqlite3.Connection | None = getattr(self._lookers, "connection", None)
        if found is None:
            found = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            found.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            self._lookers.connection = found
            self._opened.append(found)
        return found

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    @property
    def is_local(self) -> bool:
        return True

    def change_count(self) -> int:
        with self._translated(), self._watch_lock:
            row = self._watcher.execute("PRAGMA data_version").fetchone()
            return int(row[0])

    def backup(self, target: Path) -> None:
        """Copy the whole database to a new file while others go on using it.

        Raises:
            ResourceError: the disk is full.
        """
        with self._translated(), contextlib.closing(sqlite3.connect(target)) as copy:
            with contextlib.closing(sqlite3.connect(self._path)) as source:
                source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    def fold(self) -> None:
        """Bring everything into the one file, so that it can be moved alone."""
        with self._translated():
            self._watcher.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def hang_up(self) -> None:
        pass  # nobody waits for a file longer than its busy timeout

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise InputError(
                f"fleet database {self._path}: it is there already ({error.orig})",
                hint="choose another name",
            ) from error
        except (DatabaseError, sqlite3.DatabaseError) as error:
            raise _explained(self._path, error) from error
        except OverflowError as error:
            raise InputError(
                "a number of more than 64 bits", hint="no number here is so large"
            ) from error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=_POOLED,
        max_overflow=_AT_MOST - _POOLED,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        # SQLAlchemy's "begin" below says BEGIN; the driver must not say one of its own.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        # Straight to the driver: a poll spends half its time in SQLAlchemy's own statement path.
        driver = connection.connection.driver_connection
        if driver is not None:
            driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _prepare(connection: Connection, path: Path) -> None:
    """Make the tables of a new file, bring those of an older one up to date; refuse a file that is
    not ours or newer than we are.
    """
    names = {
        row[0]
        for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='table'")
    }
    if not names:
        metadata.create_all(connection)
        connection.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))
        connection.execute(
            insert(projects).values(name=DEFAULT_PROJECT, created_at_s=0.0, created_by="")
        )
        return
    if "meta" not in names:
        raise InputError(f"{path} is a database of something else", hint="choose another --home")
    migrate(connection, where=str(path))


def _explained(path: Path, error: Exception) -> EdgewrightError:
    text = str(getattr(error, "orig", None) or error)
    hints = {
        "disk is full": "free some space and run the command again",
        "locked": "another command is writing; try again",
        "readonly": "choose a folder that you may write to, or fix its owner",
        "unable to open": "choose a folder that you may write to, or fix its owner",
        "not a database": "choose another --home, or restore a backup",
        "malformed": "restore a backup",
    }
    hint = next((hint for word, hint in hints.items() if word in text), "check the disk")
    return ResourceError(f"fleet database {path}: {text}", hint=hint)
