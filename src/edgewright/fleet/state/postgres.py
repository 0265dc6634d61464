"""The state in a PostgreSQL database (extra `postgres`), shared by any number of processes.

Writers take turns by an advisory lock that ends with their transaction, so that what holds for one
SQLite file holds here too: nobody writes between what a transaction reads and what it stores.
Readers see a snapshot and wait for nobody. `edgewright_changes` counts transactions that changed
something; it belongs to this file alone.
"""

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.errors import NumericValueOutOfRange
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, Engine, Select, create_engine, event, insert, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from edgewright.errors import EdgewrightError, InputError, ResourceError
from edgewright.fleet.state.migrations import POSTGRES_STEPS, migrate
from edgewright.fleet.state.schema import (
    DEFAULT_PROJECT,
    SCHEMA_VERSION,
    meta,
    metadata,
    projects,
)

BUSY_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 10

_PATIENCE: Mapping[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""A host that is gone is noticed, instead of being waited for until the system gives up."""
_LOCK = 0x65646765  # "edge"
_POOLED = 4
_AT_MOST = 32
_HINT = "write it as postgresql://USER@HOST:PORT/DATABASE; a password may lie in ~/.pgpass"


class _WithoutNul(StrDumper):  # type: ignore[misc]  # read as untyped
    """PostgreSQL stores no NUL in text; what a device or a browser says may hold one."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\x00", "\ufffd"))


class PostgresState:
    """One database, filled when it is empty."""

    def __init__(self, url: str) -> None:
        self._name, self._url = _checked(url)
        self._pooled: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        self._engine = _engine(url, self._pooled)
        self._lookers = threading.local()
        self._opened: list[psycopg.Connection[Any]] = []
        self._looks: dict[Select[Any], tuple[str, Mapping[str, Any]]] = {}
        try:
            with self._translated(), self._engine.connect() as connection, connection.begin():
                _lock(connection)
                _prepare(connection, self._name)
        except EdgewrightError:
            self._engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    def look(self, query: Select[Any], values: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        """See `State`: the query is put into words once, and goes straight to the driver."""
        text, constants = self._looks.get(query) or self._worded(query)
        with self._translated():
            try:
                rows: list[tuple[Any, ...]] = (
                    self._looker().execute(text, {**constants, **values}).fetchall()
                )
            except psycopg.OperationalError:
                self._drop_looker()
                raise
        return rows

    def _worded(self, query: Select[Any]) -> tuple[str, Mapping[str, Any]]:
        compiled = query.compile(self._engine)
        worded = str(compiled), compiled.params
        self._looks[query] = worded
        return worded

    def _looker(self) -> psycopg.Connection[Any]:
        """This thread's own connection; each query is a snapshot by itself."""
        found: psycopg.Connection[Any] | None = getattr(self._lookers, "connection", None)
        if found is None:
            found = psycopg.connect(self._url, autocommit=True, **_PATIENCE)
            found.adapters.register_dumper(str, _WithoutNul)
            self._lookers.connection = found
            self._opened.append(found)
        return found

    def _drop_looker(self) -> None:
        """A connection that broke is made anew by the next look."""
        found: psycopg.Connection[Any] | None = getattr(self._lookers, "connection", None)
        if found is not None:
            self._lookers.connection = None
            if found in self._opened:
                self._opened.remove(found)
            found.close()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection, connection.begin():
            _lock(connection)
            yield connection
            connection.exec_driver_sql(
                "UPDATE edgewright_changes SET number = number + 1 "
                "WHERE pg_current_xact_id_if_assigned() IS NOT NULL"
            )

    @property
    def is_local(self) -> bool:
        return False

    def change_count(self) -> int:
        with self._translated():
            try:
                row = self._looker().execute("SELECT number FROM edgewright_changes").fetchone()
            except psycopg.OperationalError:
                self._drop_looker()
                raise
        return int(row[0]) if row else 0

    def hang_up(self) -> None:
        for connection in (*self._pooled, *self._opened):
            _cut(connection)

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
                f"fleet database {self._name}: it is there already ({_first_line(error.orig)})",
                hint="choose another name",
            ) from error
        except (DBAPIError, psycopg.Error, PoolTimeoutError) as error:
            if isinstance(getattr(error, "orig", None) or error, NumericValueOutOfRange):
                raise InputError(
                    "a number of more than 64 bits", hint="no number here is so large"
                ) from error
            raise _explained(self._name, error) from error


def _checked(url: str) -> tuple[str, str]:
    """The address without its password, for messages; and as the driver takes it.

    Raises:
        InputError: it is no address of a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError("the address of the database is not understood", hint=_HINT) from None
    if parsed.drivername not in ("postgresql", "postgres") or not parsed.database:
        raise InputError("the address of the database is not understood", hint=_HINT)
    shown = parsed.set(password=None).set(query={}).render_as_string()
    return shown, parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def _cut(connection: psycopg.Connection[Any]) -> None:
    """Whoever waits for an answer on it learns that there will be none."""
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)


def _engine(url: str, opened: "weakref.WeakSet[psycopg.Connection[Any]]") -> Engine:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=_POOLED,
        max_overflow=_AT_MOST - _POOLED,
        pool_pre_ping=True,
        connect_args=dict(_PATIENCE),
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: psycopg.Connection[Any], _record: object) -> None:
        opened.add(connection)
        connection.adapters.register_dumper(str, _WithoutNul)
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        connection.commit()

    return engine


def _lock(connection: Connection) -> None:
    """Wait for one's turn to write; it ends with the transaction."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _prepare(connection: Connection, name: str) -> None:
    """Make the tables of an empty database, bring those of an older one up to date; refuse one that
    is not ours or newer than we are.
    """
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    names = {row[0] for row in connection.exec_driver_sql(query)}
    if not names:
        metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE edgewright_changes (number BIGINT NOT NULL)")
        connection.exec_driver_sql("INSERT INTO edgewright_changes VALUES (0)")
        connection.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))
        connection.execute(
            insert(projects).values(name=DEFAULT_PROJECT, created_at_s=0.0, created_by="")
        )
        return
    if not {"meta", "edgewright_changes"} <= names:
        raise InputError(f"{name} is a database of something else", hint="create an empty one")
    migrate(connection, where=name, steps=POSTGRES_STEPS)


def _explained(name: str, error: Exception) -> EdgewrightError:
    text = _first_line(getattr(error, "orig", None) or error)
    hints = {
        "lock timeout": "another command is writing; try again",
        "does not exist": "create the database and its owner first",
        "refused": "start PostgreSQL, or check host and port",
        "authentication": "check the user, and the password in ~/.pgpass",
        "password": "check the user, and the password in ~/.pgpass",
        "permission denied": "make this user the database's owner",
        "No space left": "free some space and run the command again",
    }
    hint = next((hint for word, hint in hints.items() if word in text), "check PostgreSQL's log")
    return ResourceError(f"fleet database {name}: {text}", hint=hint)


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
