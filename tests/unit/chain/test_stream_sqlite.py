"""Rows of a table that others read and write too."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from edgewright.chain.stream_sqlite import SqlSink
from edgewright.device.streams.base import Result
from edgewright.errors import InputError

RESULT = Result(model="m", start_s=0.0, end_s=1.0, state="up")


def test_a_table_of_somebody_else_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "r.db") as database:
        database.execute("CREATE TABLE results (a, b)")
    with pytest.raises(
        InputError, match=r"has the columns \['a', 'b'\], expected \['model', 'key'"
    ):
        SqlSink(tmp_path / "r.db", table="results")
    for _ in range(2):
        asyncio.run(SqlSink(tmp_path / "r.db", table="others").close())


def test_who_else_writes_is_waited_for_and_holds_up_nothing_else(tmp_path: Path) -> None:
    sink = SqlSink(tmp_path / "r.db", table="results")
    other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)

    async def case() -> bool:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(sink.write([RESULT]))
        await asyncio.sleep(0.1)
        waits = not writing.done()
        other.execute("COMMIT")
        await writing
        await sink.close()
        return waits

    assert asyncio.run(case())
    assert other.execute("SELECT model, state FROM results").fetchall() == [("m", "up")]
    other.close()
