"""The director: what a device may ask for, and that it orders only its own."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgewright._fs import write_atomic
from edgewright.errors import ConflictError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.director import TICK_S, Director, go_ahead
from edgewright.fleet.office import Office
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollouts import QUALITY_EVERY_S, Rollouts
from edgewright.testing import FakeClock, MemorySigner
from edgewright.testing.fleet import release_file
from edgewright.trust import TrustedKeys
from edgewright.trust.metadata import TOP, TrustedSet
from edgewright.trust.repository import ROLES, Repository

ONLINE = MemorySigner.from_seed(5)


@pytest.fixture
def director(office: Office, tmp_path: Path, clock: FakeClock) -> Director:
    return Director(
        office.state, tmp_path / "home", clock=clock, signer=lambda: ONLINE, tend=lambda: None
    )


def found_image(folder: Path, clock: FakeClock) -> Repository:
    now = datetime.fromtimestamp(int(clock.wall_s()), UTC)
    keys = TrustedKeys(threshold=1, keys=(ONLINE.public,))
    return publish(folder, Repository.founded(dict.fromkeys(ROLES, keys), now=now), clock)


def publish(folder: Path, repository: Repository, clock: FakeClock) -> Repository:
    now = datetime.fromtimestamp(int(clock.wall_s()), UTC)
    made = repository.signed_by(ONLINE).published_at(now)
    for role, version in made.versions().items():
        name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
        write_atomic(folder / name, made.published[role])
    return made


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


def test_what_was_taken_back_is_neither_planned_nor_exported_and_its_rollout_ends(
    director: Director, office: Office, tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "home" / "image" / "metadata"
    now = datetime.fromtimestamp(int(clock.wall_s()), UTC)
    bundle_id = release_file(tmp_path / "1.ewb", version="1")
    release = office.registry.publish(tmp_path / "1.ewb", by="ada")
    with_it = found_image(folder, clock).with_target(
        "tiny/1.ewb",
        sha256=release.file_sha256,
        length_bytes=release.file_size_bytes,
        now=now,
        custom={"bundle_id": bundle_id},
    )
    with_it = publish(folder, with_it, clock)
    office.devices.enrol(office.devices.create_token(TokenOrder(), by="ada").token, "d1", {})
    rollouts = Rollouts(office.state, clock=clock, offers=director)
    order = RolloutOrder(release="tiny@1", waves="100%")
    number = rollouts.start(order, by="ada").number
    rollouts.tick()
    assert rollouts.status(number).status == "running"

    publish(folder, with_it.without_target("tiny/1.ewb", now=now), clock)
    clock.advance(QUALITY_EVERY_S)
    rollouts.tick()
    ended = rollouts.status(number)
    assert (ended.status, "tiny@1 was taken back" in ended.reason) == ("aborted", True)
    with pytest.raises(ConflictError, match="tiny@1 was taken back"):
        rollouts.plan(order)
    with pytest.raises(ConflictError, match="tiny@1 was taken back"):
        director.export(release, "d1", days=1, by="ada", project="default")


def test_an_image_repository_that_cannot_be_read_ends_no_rollout(
    director: Director, office: Office, tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "home" / "image" / "metadata"
    release_file(tmp_path / "1.ewb", version="1")
    release = office.registry.publish(tmp_path / "1.ewb", by="ada")
    found_image(folder, clock)
    assert director.has_taken_back(release)
    write_atomic(folder / "timestamp.json", b"{")
    assert not director.has_taken_back(release)


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
