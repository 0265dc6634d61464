"""All rows of one database into another, whatever keeps either: how a fleet moves house."""

from sqlalchemy import Connection, Table, delete, func, insert, select

from edgewright.fleet.state.base import State
from edgewright.fleet.state.schema import metadata

AT_ONCE = 1000


def copy_rows(source: State, target: State) -> int:
    """Fill a target that holds no fleet yet with a snapshot of the source; returns how many rows.

    The whole of it is one transaction of the target.
    """
    rows = 0
    with source.read() as reading, target.write() as writing:
        for table in metadata.sorted_tables:
            writing.execute(delete(table))
            rows += _copy(reading, writing, table)
            _go_on_counting(writing, table)
    return rows


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    copied = 0
    found = reading.execution_options(yield_per=AT_ONCE).execute(select(table))
    for part in found.mappings().partitions(AT_ONCE):
        writing.execute(insert(table), [dict(row) for row in part])
        copied += len(part)
    return copied


def _go_on_counting(connection: Connection, table: Table) -> None:
    """PostgreSQL counts rows by itself; what was numbered elsewhere it must be told of."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    newest = connection.scalar(select(func.max(column)))
    if newest is not None:
        name = func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(select(func.setval(name, newest)))
