"""Which database a fleet's home belongs to: a file in it, or one that HOME/database.json names.

HOME/fleet.db         SQLite, unless
HOME/database.json    names another one: {"url": "postgresql://user@host/database"}
"""

from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, UnavailableError
from edgewright.fleet.state import SqliteState, State

DATABASE = "fleet.db"
DATABASE_CHOICE = "database.json"

_LIMIT_BYTES = 64 << 10


class _Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str

    def __repr__(self) -> str:
        return "_Choice()"


def has_fleet(home: Path) -> bool:
    """Whether a folder is a fleet's."""
    return (home / DATABASE).exists() or (home / DATABASE_CHOICE).exists()


def open_state(home: Path) -> State:
    """The database of a home; an SQLite file is made when there is none.

    Raises:
        ResourceError: it cannot be reached.
        UnavailableError: it needs an extra that is not installed.
    """
    url = chosen(home)
    return open_postgres(url) if url else SqliteState(home / DATABASE)


def open_postgres(url: str) -> State:
    """A PostgreSQL database.

    Raises:
        InputError: not an address of one, or somebody else's.
        ResourceError: it cannot be reached.
        UnavailableError: the extra is not installed.
    """
    try:
        from edgewright.fleet.state.postgres import (  # noqa: PLC0415 - an extra
            PostgresState,
        )
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"this database needs {error.name}, which is not installed",
            hint="pip install 'edgewright[postgres]'",
        ) from error
    return PostgresState(url)


def chosen(home: Path) -> str:
    """The address that a home names; empty for its own file."""
    path = home / DATABASE_CHOICE
    if not path.exists():
        return ""
    content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, _Choice, source=str(path)).url


def choose(home: Path, url: str) -> None:
    """Let a new home belong to this database; afterwards every command finds it.

    Raises:
        InputError: the home belongs to another one already.
    """
    before = chosen(home)
    if before == url:
        return
    if before or (home / DATABASE).exists():
        raise InputError(
            f"the fleet in {home} is in {'another database' if before else DATABASE} already",
            hint="to move it: edgewright fleet backup FILE; fleet restore FILE --home NEW "
            "--database URL",
        )
    open_postgres(url).close()
    _fs.make_dirs(home)
    _fs.write_atomic(home / DATABASE_CHOICE, encode_json(_Choice(url=url)), mode=0o600)
