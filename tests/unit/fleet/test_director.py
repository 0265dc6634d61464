"""The director: what a device may ask for, and that it orders only its own."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgewright._fs import write_atomic
from edgewright.fleet.director import TICK_S, Director, go_ahead
from edgewright.fleet.office import Office
from edgewright.testing import FakeClock, MemorySigner
from edgewright.trust import TrustedKeys
from edgewright.trust.metadata import TOP, TrustedSet
from edgewright.trust.repository import ROLES, Repository

ONLINE = MemorySigner.from_seed(5)


@pytest.fixture
def director(office: Office, tmp_path: Path, clock: FakeClock) -> Director:
    return Director(
        office.state, tmp_path / "home", clock=clock, signer=lambda: ONLINE, tend=lambda: None
    )


def found_image(folder: Path, clock: FakeClock) -> None:
    now = datetime.fromtimestamp(int(clock.wall_s()), UTC)
    keys = TrustedKeys(threshold=1, keys=(ONLINE.public,))
    repository = Repository.founded(dict.fromkeys(ROLES, keys), now=now)
    published = repository.signed_by(ONLINE).published_at(now).published
    for role in ROLES:
        name = "timestamp.json" if role == "timestamp" else f"1.{role}.json"
        write_atomic(folder / name, published[role])


def trusted(director: Director, clock: FakeClock, device: str = "d1") -> TrustedSet:
    now = datetime.fromtimestamp(int(clock.wall_s()), UTC)
    found = TrustedSet.from_root(director.roots()[1], now=now)
    for step in ("timestamp", "snapshot"):
        content = director.director_file(device, getattr(found, f"wanted_{step}").file)
        assert content is not None
        found = getattr(found, f"with_{step}")(content)
    content = director.director_file(device, found.wanted_targets(TOP).file)
    assert content is not None
    return found.with_targets(content, TOP)


def test_it_is_off_until_an_image_repository_is_published(
    director: Director, tmp_path: Path, clock: FakeClock
) -> None:
    assert not director.is_on
    found_image(tmp_path / "home" / "image" / "metadata", clock)
    assert director.is_on
    assert director.image_file("timestamp.json") is not None


@pytest.mark.parametrize(
    "name", ["../fleet.db", "x/y.json", ".json", "1.root.txt", "", "9.root.json"]
)
def test_no_other_file_is_served(
    director: Director, tmp_path: Path, name: str, clock: FakeClock
) -> None:
    found_image(tmp_path / "home" / "image" / "metadata", clock)
    assert director.image_file(name) is None
    assert director.director_file("d1", name) is None


def test_its_version_rises_with_time_and_never_falls(
    director: Director, tmp_path: Path, clock: FakeClock
) -> None:
    found_image(tmp_path / "home" / "image" / "metadata", clock)
    first = trusted(director, clock).versions()["targets"]
    clock.advance(TICK_S)
    later = trusted(director, clock).versions()["targets"]
    clock.set_wall(clock.wall_s() - 10 * TICK_S)
    assert first < later == trusted(director, clock).versions()["targets"]


def test_its_version_is_above_all_that_a_lost_fleet_gave(
    director: Director, office: Office, tmp_path: Path, clock: FakeClock
) -> None:
    found_image(tmp_path / "home" / "image" / "metadata", clock)
    backed_up = trusted(director, clock).versions()["targets"]
    for number in range(50):
        office.devices.add(f"x{number}", {}, by="ada")
    clock.advance(9 * TICK_S)
    given = trusted(director, clock, "x49").versions()["targets"]
    go_ahead(tmp_path / "home")
    assert backed_up < given < trusted(director, clock).versions()["targets"]
    after = trusted(director, clock).versions()["targets"]
    clock.advance(TICK_S)
    assert trusted(director, clock).versions()["targets"] == after + 1


def test_its_root_is_renewed_before_it_expires(
    director: Director, tmp_path: Path, clock: FakeClock
) -> None:
    found_image(tmp_path / "home" / "image" / "metadata", clock)
    first = director.roots()[1]
    clock.advance(300 * 86_400)
    renewed = director.roots()[1]
    now = datetime.fromtimestamp(int(clock.wall_s()), UTC)
    assert TrustedSet.from_root(first, now=now).with_root(renewed).root.version == 2
    assert director.director_file("d1", "2.root.json") == renewed
