"""What every backend of the fleet's state keeps."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, func, insert, select, update
from tests.postgres import PostgreSql, running_postgres

from edgewright.errors import InputError, ResourceError
from edgewright.fleet.audit import verify_audit
from edgewright.fleet.state import SqliteState, State, schema

Opener = Callable[[], State]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with running_postgres() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    opened: list[State] = []
    make: Opener = lambda: SqliteState(tmp_path / "home" / "fleet.db")  # noqa: E731
    if request.param == "postgresql":
        module = pytest.importorskip(
            "edgewright.fleet.state.postgres", reason="absent: psycopg (extra postgres)"
        )
        url = request.getfixturevalue("server").new_url()
        make = lambda: module.PostgresState(url)  # noqa: E731

    def open_state() -> State:
        opened.append(make())
        return opened[-1]

    yield open_state
    for state in opened:
        state.close()


def put(state: State, key: str, value: str = "x") -> None:
    with state.write() as connection:
        connection.execute(insert(schema.meta).values(key=key, value=value))


def keys(state: State) -> set[str]:
    with state.read() as connection:
        return set(connection.scalars(select(schema.meta.c.key))) - {"schema_version"}


def test_what_was_written_is_there_after_reopening(opener: Opener) -> None:
    first = opener()
    put(first, "a")
    first.close()
    assert keys(opener()) == {"a"}


def test_a_transaction_left_by_an_exception_never_happened(opener: Opener) -> None:
    state = opener()

    def break_off() -> None:
        with state.write() as connection:
            connection.execute(insert(schema.meta).values(key="a", value="x"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert keys(state) == set()


def test_two_processes_see_each_other(opener: Opener) -> None:
    server, command = opener(), opener()
    put(command, "a")
    assert keys(server) == {"a"}


def test_a_snapshot_does_not_move(opener: Opener) -> None:
    state = opener()
    count = select(func.count()).select_from(schema.meta)
    with state.read() as connection:
        before = connection.scalar(count)
        put(state, "a")
        assert connection.scalar(count) == before


def test_writers_take_turns(opener: Opener) -> None:
    state = opener()
    put(state, "counter", "0")
    counter = select(schema.meta.c.value).where(schema.meta.c.key == "counter")

    def count() -> None:
        for _ in range(20):
            with state.write() as connection:
                value = int(connection.scalar(counter) or 0) + 1
                connection.execute(
                    update(schema.meta)
                    .where(schema.meta.c.key == "counter")
                    .values(value=str(value))
                )

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with state.read() as connection:
        assert connection.scalar(counter) == "80"


def test_the_change_count_moves_with_anybodys_commit(opener: Opener) -> None:
    server, command = opener(), opener()
    seen = [server.change_count()]
    assert server.change_count() == seen[0]
    put(server, "a")
    seen.append(server.change_count())
    put(command, "b")
    seen.append(server.change_count())
    assert len(set(seen)) == 3


def test_the_same_thing_twice_is_the_callers_mistake(opener: Opener) -> None:
    state = opener()
    put(state, "a")
    with pytest.raises(InputError, match="there already"):
        put(state, "a")


def test_a_number_beyond_64_bits_is_the_callers_mistake(opener: Opener) -> None:
    state = opener()
    query = select(schema.rollouts.c.id).where(schema.rollouts.c.id == 2**64)
    with pytest.raises(InputError, match="64 bits"), state.read() as connection:
        connection.execute(query)
    asked = select(schema.rollouts.c.id).where(schema.rollouts.c.id == bindparam("n"))
    with pytest.raises(InputError, match="64 bits"):
        state.look(asked, {"n": 2**64})


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    SqliteState(tmp_path / "fleet.db").close()
    assert (tmp_path / "fleet.db").stat().st_mode & 0o077 == 0


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    SqliteState(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(InputError, match=f"version 99, .* reads 1 to {schema.SCHEMA_VERSION}"):
        SqliteState(path)


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE holidays (day TEXT)")
    connection.close()
    with pytest.raises(InputError, match="database of something else"):
        SqliteState(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    path.write_bytes(b"this is not a database, but it is long enough to look at" * 20)
    with pytest.raises(ResourceError, match="not a database"):
        SqliteState(path)


GOLDEN = Path(__file__).parents[1] / "golden" / "fleet"


def shape(path: Path) -> dict[str, object]:
    """Tables with their columns and indexes; text defaults are quoted in more ways than one."""
    with sqlite3.connect(path) as connection:
        names = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        found: dict[str, object] = {
            name: (
                sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})")),
                sorted(row[1] for row in connection.execute(f"PRAGMA index_list({name})")),
            )
            for name in names
        }
    connection.close()
    return found


@pytest.mark.parametrize("version", range(1, schema.SCHEMA_VERSION))
def test_an_older_file_becomes_what_a_new_one_is(tmp_path: Path, version: int) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with sqlite3.connect(old) as connection:
        connection.executescript((GOLDEN / f"schema-{version}.sql").read_text())
    connection.close()
    SqliteState(new).close()
    state = SqliteState(old)
    with state.read() as read:
        assert set(read.scalars(select(schema.devices.c.name))) == {"d1", "d2"}
        assert read.scalar(select(schema.devices.c.timezone)) == "UTC"
        assert read.scalar(select(schema.rollouts.c.status)) == "running"
        for table in (schema.devices, schema.releases, schema.rollouts, schema.user_tokens):
            assert set(read.scalars(select(table.c.project))) == {"default"}, table.name
        assert read.execute(select(schema.memberships)).one()[:3] == ("default", "ada", "releaser")
        assert list(read.scalars(select(schema.projects.c.name))) == ["default"]
    assert verify_audit(state) is not None
    state.close()
    assert shape(old) == shape(new)


def test_a_migration_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((GOLDEN / "schema-1.sql").read_text())
        connection.execute("CREATE TABLE aliases (in_the_way TEXT)")
    connection.close()
    before = shape(path)
    with pytest.raises(ResourceError, match="aliases already exists"):
        SqliteState(path)
    assert shape(path) == before


def test_a_backup_is_whole_while_others_write(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "fleet.db")
    put(state, "a")
    state.backup(tmp_path / "copy.db")
    put(state, "b")
    state.close()
    copy = SqliteState(tmp_path / "copy.db")
    assert keys(copy) == {"a"}
    copy.close()


def test_a_look_gives_what_was_committed_to_any_thread(opener: Opener) -> None:
    state = opener()
    query = select(schema.meta.c.value).where(schema.meta.c.key == bindparam("wanted"))
    put(state, "a", "first")
    seen: list[object] = [state.look(query, {"wanted": "a"})]
    thread = threading.Thread(target=lambda: seen.append(state.look(query, {"wanted": "a"})))
    thread.start()
    thread.join()
    with state.write() as connection:
        connection.execute(update(schema.meta).values(value="second"))
        seen.append(state.look(query, {"wanted": "a"}))
    seen.append(state.look(query, {"wanted": "a"}))
    assert seen == [[("first",)], [("first",)], [("first",)], [("second",)]]
    assert state.look(query, {"wanted": "b"}) == []


def test_text_with_a_nul_harms_nobody(opener: Opener) -> None:
    state = opener()
    put(state, "a", "before\x00after")
    with state.read() as connection:
        value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "a"))
    assert str(value).replace("\x00", "\ufffd") == "before\ufffdafter"


def test_numbers_are_as_large_as_devices_count(opener: Opener) -> None:
    state = opener()
    row = {
        "device": "d1", "enrolment": 1, "sequence": 2**53, "kind": "health",
        "received_at_s": 1.5e9, "content": b"\x00\xff",
    }  # fmt: skip
    with state.write() as connection:
        connection.execute(insert(schema.records).values(**row))
    query = select(schema.records.c.sequence, schema.records.c.content).where(
        schema.records.c.sequence == bindparam("sequence")
    )
    assert [
        tuple(map(bytes_or_int, found)) for found in state.look(query, {"sequence": 2**53})
    ] == [(2**53, b"\x00\xff")]


def bytes_or_int(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview | bytes) else value


def test_names_are_in_the_order_of_their_characters(opener: Opener) -> None:
    state = opener()
    for key in ("b", "A", "a-1", "a1", "_", "B"):
        put(state, key)
    with state.read() as connection:
        query = select(schema.meta.c.key).where(schema.meta.c.key != "schema_version")
        found = list(connection.scalars(query.order_by(schema.meta.c.key)))
    assert found == sorted(found)


@pytest.fixture
def postgres_url(server: PostgreSql) -> str:
    pytest.importorskip("psycopg", reason="absent: psycopg (extra postgres)")
    return server.new_url()


def test_a_newer_postgresql_schema_is_refused(postgres_url: str) -> None:
    from edgewright.fleet.state.postgres import PostgresState

    state = PostgresState(postgres_url)
    with state.write() as connection:
        connection.execute(
            update(schema.meta).where(schema.meta.c.key == "schema_version").values(value="99")
        )
    state.close()
    with pytest.raises(InputError, match="version 99"):
        PostgresState(postgres_url)


def test_somebody_elses_postgresql_database_is_refused(
    server: PostgreSql, postgres_url: str
) -> None:
    from edgewright.fleet.state.postgres import PostgresState

    server.sql(postgres_url.rpartition("/")[2], "CREATE TABLE holidays (day TEXT)")
    with pytest.raises(InputError, match="database of something else"):
        PostgresState(postgres_url)


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("mysql://a@b/c", InputError, "not understood"),
        ("postgresql://a@b", InputError, "not understood"),
        ("postgresql://a:secret@127.0.0.1:1/c", ResourceError, "refused"),
    ],
)
def test_a_database_that_cannot_be_is_said_without_its_password(
    url: str, error: type[Exception], words: str
) -> None:
    pytest.importorskip("psycopg", reason="absent: psycopg (extra postgres)")
    from edgewright.fleet.state.postgres import PostgresState

    with pytest.raises(error, match=words) as said:
        PostgresState(url)
    assert "secret" not in str(said.value)


def test_two_that_begin_at_once_make_one_fleet(postgres_url: str) -> None:
    from edgewright.fleet.state.postgres import PostgresState

    made: list[PostgresState] = []
    threads = [
        threading.Thread(target=lambda: made.append(PostgresState(postgres_url))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    for state in made:
        state.close()


def test_a_server_that_went_and_came_back_is_used_again(
    server: PostgreSql, postgres_url: str
) -> None:
    from edgewright.fleet.state.postgres import PostgresState

    state = PostgresState(postgres_url)
    query = select(schema.meta.c.key).where(schema.meta.c.key == bindparam("wanted"))
    put(state, "a")
    assert state.look(query, {"wanted": "a"}) == [("a",)]
    server.stop()
    with pytest.raises(ResourceError):
        state.look(query, {"wanted": "a"})
    with pytest.raises(ResourceError):
        put(state, "b")
    server.start()
    assert state.look(query, {"wanted": "a"}) == [("a",)]
    put(state, "c")
    assert keys(state) == {"a", "c"}
    state.close()


_COLUMNS = """
    SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = current_schema()
    ORDER BY table_name, column_name
"""
_WITHOUT_8 = (
    "ALTER TABLE members DROP COLUMN validation",
    "DROP TABLE validations",
    "UPDATE meta SET value = '7' WHERE key = 'schema_version'",
)
"""What turns a database of version 8 back into the first one that PostgreSQL knew."""


def test_an_older_postgresql_becomes_what_a_new_one_is(server: PostgreSql) -> None:
    module = pytest.importorskip(
        "edgewright.fleet.state.postgres", reason="absent: psycopg (extra postgres)"
    )
    url = server.new_url()
    made = module.PostgresState(url)
    with made.write() as connection:
        fresh = connection.exec_driver_sql(_COLUMNS).all()
        for statement in _WITHOUT_8:
            connection.exec_driver_sql(statement)
        assert connection.exec_driver_sql(_COLUMNS).all() != fresh
    made.close()
    migrated = module.PostgresState(url)
    with migrated.read() as connection:
        assert connection.exec_driver_sql(_COLUMNS).all() == fresh
    migrated.close()
