"""A fleet that moves from one database to another and back is the same fleet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import PostgreSql, running_postgres

from edgewright.chain import fleet_backup
from edgewright.chain.fleet import open_fleet, trust
from edgewright.chain.fleet_database import choose
from edgewright.errors import InputError
from edgewright.fleet.audit import read_audit, verify_audit
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.rollouts import RolloutOrder
from edgewright.testing.fleet import SIGNER, release_file

pytest.importorskip("psycopg", reason="absent: psycopg (extra postgres)")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with running_postgres() as made:
        yield made


def filled(home: Path, folder: Path) -> None:
    (folder / "key.pub").write_text(SIGNER.public.public_hex)
    trust(home, [folder / "key.pub"], threshold=1, by="test")
    with open_fleet(home) as office:
        release_file(folder / "1.ewb", version="1")
        office.registry.publish(folder / "1.ewb", by="test")
        token = office.devices.create_token(TokenOrder(uses=2), by="test").token
        for name in ("d1", "d2"):
            office.devices.enrol(token, name, {"site": "berlin"})
        office.rollouts.start(RolloutOrder(release="tiny@1", waves="100%"), by="test")


def told(home: Path) -> tuple[object, ...]:
    with open_fleet(home) as office:
        verify_audit(office.state)
        entries = [e for e in read_audit(office.state) if not e.what.startswith("backup")]
        return (
            office.devices.find(),
            office.registry.releases(),
            office.rollouts.list(),
            [entry.hash for entry in entries],
        )


def test_a_fleet_moves_to_postgresql_and_back(server: PostgreSql, tmp_path: Path) -> None:
    filled(tmp_path / "first", tmp_path)
    fleet_backup.backup(tmp_path / "first", tmp_path / "1.tar", by="test")
    url = server.new_url()
    fleet_backup.restore(tmp_path / "1.tar", tmp_path / "second", by="test", database=url)
    assert not (tmp_path / "second" / "fleet.db").exists()
    assert (tmp_path / "second" / "database.json").stat().st_mode & 0o077 == 0
    assert told(tmp_path / "second") == told(tmp_path / "first")
    with open_fleet(tmp_path / "second") as office:
        office.rollouts.pause(1, reason="moved", by="test")
        release_file(tmp_path / "2.ewb", version="2", model="other")
        office.registry.publish(tmp_path / "2.ewb", by="test")
        order = RolloutOrder(release="other@2", waves="100%")
        assert office.rollouts.start(order, by="test").number == 2
    fleet_backup.backup(tmp_path / "second", tmp_path / "2.tar", by="test")
    fleet_backup.restore(tmp_path / "2.tar", tmp_path / "third", by="test")
    assert (tmp_path / "third" / "fleet.db").exists()
    assert told(tmp_path / "third") == told(tmp_path / "second")


def test_a_database_that_holds_a_fleet_is_not_written_over(
    server: PostgreSql, tmp_path: Path
) -> None:
    url = server.new_url()
    choose(tmp_path / "there", url)
    filled(tmp_path / "there", tmp_path)
    fleet_backup.backup(tmp_path / "there", tmp_path / "1.tar", by="test")
    before = told(tmp_path / "there")
    with pytest.raises(InputError, match="holds a fleet already"):
        fleet_backup.restore(tmp_path / "1.tar", tmp_path / "copy", by="test", database=url)
    assert not (tmp_path / "copy").exists()
    assert told(tmp_path / "there") == before


def test_a_home_stays_with_its_database(server: PostgreSql, tmp_path: Path) -> None:
    filled(tmp_path / "own", tmp_path)
    with pytest.raises(InputError, match=r"in fleet\.db already"):
        choose(tmp_path / "own", server.new_url())
    url = server.new_url()
    choose(tmp_path / "other", url)
    choose(tmp_path / "other", url)
    with pytest.raises(InputError, match="in another database already"):
        choose(tmp_path / "other", server.new_url())
