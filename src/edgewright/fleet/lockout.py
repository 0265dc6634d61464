"""How wrong passwords lock an account: some are free, then each locks it twice as long."""

from sqlalchemy import Connection, select, update

from edgewright.fleet.state import schema

FREE_FAILURES = 5
FIRST_LOCK_S = 30.0
LONGEST_LOCK_S = 3600.0
_MOST_DOUBLINGS = 20


def count_failure(connection: Connection, name: str, *, now_s: float) -> float:
    """Count a wrong password of an account; how long that locks it, 0 when it does not."""
    table = schema.users
    query = select(table.c.failures).where(table.c.name == name)
    failures = (connection.scalar(query) or 0) + 1
    over = failures - FREE_FAILURES
    lock_s = (
        min(FIRST_LOCK_S * 2 ** min(over, _MOST_DOUBLINGS), LONGEST_LOCK_S) if over >= 0 else 0.0
    )
    connection.execute(
        update(table)
        .where(table.c.name == name)
        .values(failures=failures, locked_until_s=now_s + lock_s if lock_s else 0.0)
    )
    return lock_s
