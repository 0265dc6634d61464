"""What a fleet remembers: one schema, one file per database that keeps it.

Every change is one transaction, so that a process killed at any moment leaves either all of a
change or nothing. Several processes may share the database: the server and the command line do.

    >>> import pathlib, tempfile
    >>> from sqlalchemy import insert, select
    >>> state = SqliteState(pathlib.Path(tempfile.mkdtemp()) / "fleet.db")
    >>> with state.write() as connection:
    ...     _ = connection.execute(insert(schema.meta).values(key="greeting", value="hello"))
    >>> with state.read() as connection:
    ...     connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "greeting"))
    'hello'
    >>> state.close()
"""

from edgewright.fleet.state import schema
from edgewright.fleet.state.base import State
from edgewright.fleet.state.sqlite import SqliteState

__all__ = ["SqliteState", "State", "schema"]
