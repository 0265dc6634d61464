import pytest
from sqlalchemy import delete, update

from edgewright.errors import InputError, TrustError
from edgewright.fleet.audit import Deed, read_audit, verify_audit, write_down
from edgewright.fleet.office import Office
from edgewright.fleet.state import schema


@pytest.fixture
def written(office: Office) -> Office:
    for number in range(4):
        with office.state.write() as connection:
            deed = Deed(at_s=float(number), who="ada", what="thing done", subject=str(number))
            write_down(connection, deed)
    return office


def test_a_whole_chain_verifies(written: Office) -> None:
    newest = verify_audit(written.state)
    assert newest is not None
    assert (newest.sequence, newest.subject) == (4, "3")
    assert [entry.subject for entry in read_audit(written.state, newest=2)] == ["3", "2"]


def test_a_nul_that_no_database_may_keep_breaks_no_chain(office: Office) -> None:
    with office.state.write() as connection:
        write_down(connection, Deed(at_s=0.0, who="d1", what="told", subject="a\0b", detail="\0"))
    assert verify_audit(office.state) is not None
    assert read_audit(office.state)[0].subject == "a\ufffdb"


def test_an_empty_chain_verifies(office: Office) -> None:
    assert verify_audit(office.state) is None


@pytest.mark.parametrize("column", ["at_s", "who", "what", "subject", "detail", "hash"])
def test_a_changed_entry_is_found(written: Office, column: str) -> None:
    value = 9.0 if column == "at_s" else "x"
    with written.state.write() as connection:
        table = schema.audit
        connection.execute(update(table).where(table.c.sequence == 2).values({column: value}))
    with pytest.raises(TrustError, match="entry 2 was changed"):
        verify_audit(written.state)


def test_a_missing_entry_is_found(written: Office) -> None:
    with written.state.write() as connection:
        connection.execute(delete(schema.audit).where(schema.audit.c.sequence == 3))
    with pytest.raises(TrustError, match="entry 3"):
        verify_audit(written.state)


def test_newest_entries_that_were_taken_out_are_found_by_a_noted_hash(written: Office) -> None:
    newest = verify_audit(written.state)
    assert newest is not None
    assert verify_audit(written.state, noted=newest.hash[:12]) == newest
    with written.state.write() as connection:
        connection.execute(delete(schema.audit).where(schema.audit.c.sequence == 4))
    assert verify_audit(written.state) is not None
    with pytest.raises(TrustError, match="that was noted"):
        verify_audit(written.state, noted=newest.hash)
    with pytest.raises(InputError, match="12 to 64 hexadecimal digits"):
        verify_audit(written.state, noted=newest.hash[:4])
