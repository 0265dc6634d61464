"""A device that believes an image repository and a director, and what either of them cannot do."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.scenarios.conftest import Device

from edgewright.bundle import open_bundle
from edgewright.bundle.parcel import Label, write_parcel
from edgewright.clock import BUILT_S
from edgewright.device.agent import Identity, Roots, TwoRepositories
from edgewright.errors import InputError, TrustError
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import build_tiny
from edgewright.trust import Signer, TrustedKeys
from edgewright.trust.director import DirectorOrder, directed, founded_root
from edgewright.trust.release import Words, target_name
from edgewright.trust.repository import ROLES, Repository

DAY_S = 86_400
OFFLINE, ONLINE, THIEF = (MemorySigner.from_seed(seed) for seed in (11, 12, 13))


class Files:
    """A repository's metadata, served from memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        if path not in self.files:
            return None

        async def once() -> AsyncIterator[bytes]:
            yield self.files[path][offset:]

        return once()


class Office:
    """Keepers with an offline key, a director with an online one, and a clock they share."""

    def __init__(self, device: Device) -> None:
        self.device = device
        keys = TrustedKeys(threshold=1, keys=(OFFLINE.public,))
        self.image = Files({})
        self.director = Files({"1.root.json": founded_root(ONLINE, now=self.now)})
        self.repository = Repository.founded(dict.fromkeys(ROLES, keys), now=self.now)
        self.version = 0
        self.orders: dict[str, DirectorOrder] = {}
        self.publish(OFFLINE)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(int(self.device.clock.wall_s()), UTC)

    def publish(self, *signers: Signer) -> None:
        for signer in signers:
            self.repository = self.repository.signed_by(signer)
        self.repository = self.repository.published_at(self.now)
        for role, version in self.repository.versions().items():
            name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
            self.image.files[name] = self.repository.published[role]

    def release(self, path: Path) -> None:
        bundle = open_bundle(path)
        name = target_name(bundle.manifest.name, bundle.manifest.version)
        self.repository = self.repository.with_target(
            name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            length_bytes=path.stat().st_size,
            now=self.now,
            custom={"bundle_id": bundle.id},
        )
        self.publish(OFFLINE)

    def revoke(self, version: str) -> None:
        self.repository = self.repository.without_target(f"tiny/{version}.ewb", now=self.now)
        self.publish(OFFLINE)

    def order(self, path: Path, *, signer: Signer = ONLINE, to: str = "d1") -> None:
        bundle = open_bundle(path)
        name = target_name(bundle.manifest.name, bundle.manifest.version)
        self.orders = {
            name: DirectorOrder(
                name=name,
                length_bytes=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                words=msgspec.json.encode(Words(bundle_id=bundle.id)),
            )
        }
        self.say(signer, to=to)
        self.device.fleet.offer(path)

    def say(self, signer: Signer = ONLINE, *, to: str = "d1") -> None:
        self.version += 1
        made = directed(
            self.orders.values(), device=to, version=self.version, now=self.now, signer=signer
        )
        self.director.files |= made

    def parcel(self, path: Path, out: Path) -> Path:
        bundle = open_bundle(path)
        label = Label(
            model=bundle.manifest.name,
            version=bundle.manifest.version,
            bundle_id=bundle.id,
            file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            file_size_bytes=path.stat().st_size,
        )
        files = {f"image/{name}": content for name, content in self.image.files.items()}
        files |= {f"director/{name}": content for name, content in self.director.files.items()}
        write_parcel(out, label, files, path)
        return out


@pytest.fixture
def office(device: Device) -> Office:
    """The device's home enrolled anew, with the roots of the two repositories."""
    device.clock.set_wall(BUILT_S + DAY_S)
    office = Office(device)
    device.home.trust_path.unlink()
    image = office.repository.published["root"]
    roots = Roots(image=image, director=office.director.files["1.root.json"])
    device.home.save_enrolment(Identity(device="d1"), roots)
    device.fleet.repositories = {"image": office.image, "director": office.director}
    device.start()
    return office


def run_once(device: Device) -> Any:
    return device.agent.follow_once()


def test_a_bundle_that_both_mean_is_taken(device: Device, office: Office, play: Any) -> None:
    path = device.bundle("1", signer=THIEF)
    office.release(path)
    office.order(path)
    (progress,) = play(run_once(device))
    assert progress.good == device.current == open_bundle(path).id


def refused(device: Device, play: Any, match: str) -> None:
    with pytest.raises(TrustError, match=match):
        play(run_once(device))
    assert device.current == ""
    assert device.slots() == set()
    assert [name for name in device.files() if not name.startswith("trust/")] == []
    assert device.progress().bad == ()
    assert match in device.progress().reason


def test_a_director_alone_cannot_install(device: Device, office: Office, play: Any) -> None:
    office.order(device.bundle("1"))
    refused(device, play, "the image repository")


def test_a_director_cannot_order_another_content_under_a_released_name(
    device: Device, office: Office, play: Any
) -> None:
    office.release(device.bundle("1"))
    office.order(device.bundle("1", seed=9))
    refused(device, play, "the director orders another")


def test_a_thief_of_no_key_cannot_direct(device: Device, office: Office, play: Any) -> None:
    path = device.bundle("1")
    office.release(path)
    office.order(path, signer=THIEF)
    refused(device, play, "the director")


def test_a_released_bundle_that_nobody_ordered_is_refused(
    device: Device, office: Office, play: Any
) -> None:
    path = device.bundle("1")
    office.release(path)
    office.say()
    device.fleet.offer(path)
    refused(device, play, "the director")


def test_what_expired_stops_updates_and_never_inference(
    device: Device, office: Office, play: Any
) -> None:
    first, second = device.bundle("1"), device.bundle("2")
    office.release(first)
    office.order(first)
    play(run_once(device))
    office.release(second)
    office.order(second)
    device.clock.advance(400 * DAY_S)
    with pytest.raises(TrustError, match="expiry"):
        play(run_once(device))
    device.start()
    play(device.agent.settle())
    assert device.served == device.current == open_bundle(first).id


def test_a_release_that_failed_for_its_metadata_is_taken_when_that_is_right(
    device: Device, office: Office, play: Any
) -> None:
    path = device.bundle("1")
    office.order(path)
    with pytest.raises(TrustError):
        play(run_once(device))
    office.release(path)
    play(run_once(device))
    assert device.current == open_bundle(path).id


def test_a_device_returns_to_no_revoked_release(device: Device, office: Office, play: Any) -> None:
    ids = {}
    for version in "123":
        path = device.bundle(version)
        ids[version] = open_bundle(path).id
        office.release(path)
        office.order(path)
        play(run_once(device))
    office.revoke("2")
    office.say()
    play(run_once(device))
    play(device.agent.go_back("told", device.update()))
    assert device.current == ids["1"]
    assert "revoked" in device.progress().reason


def test_an_old_state_of_a_repository_is_refused(device: Device, office: Office, play: Any) -> None:
    first, second = device.bundle("1"), device.bundle("2")
    office.release(first)
    office.order(first)
    old = dict(office.image.files)
    office.release(second)
    office.order(second)
    play(run_once(device))
    office.image.files = old
    office.order(first)
    with pytest.raises(TrustError, match="an old version is served again"):
        play(run_once(device))
    assert device.current == open_bundle(second).id


def test_an_air_gap_file_carries_its_own_trust(device: Device, office: Office, play: Any) -> None:
    path = device.bundle("1")
    office.release(path)
    office.order(path)
    parcel = office.parcel(path, device.folder / "1.ewx")
    device.fleet.repositories = {}
    assert play(device.agent.apply(parcel)).good == open_bundle(path).id
    assert list(device.home.downloads.glob("*")) == []


def test_a_bundle_by_hand_needs_the_kept_word_of_both(
    device: Device, office: Office, play: Any
) -> None:
    path = device.bundle("1")
    with pytest.raises(TrustError, match="nothing was trusted yet"):
        play(device.agent.apply(path))
    office.release(path)
    office.order(path)
    play(run_once(device))
    other = device.bundle("2")
    with pytest.raises(TrustError, match="the image repository"):
        play(device.agent.apply(other))


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.97])
def test_a_changed_air_gap_file_leaves_nothing(
    device: Device, office: Office, play: Any, at: float
) -> None:
    path = device.bundle("1", filler_bytes=4096)
    office.release(path)
    office.order(path)
    parcel = office.parcel(path, device.folder / "1.ewx")
    content = bytearray(parcel.read_bytes())
    content[int(len(content) * at)] ^= 1
    parcel.write_bytes(content)
    with pytest.raises((TrustError, InputError)):
        play(device.agent.apply(parcel))
    assert device.slots() == set()
    assert list(device.home.downloads.glob("*")) == []


def test_an_air_gap_file_for_an_older_state_is_refused(
    device: Device, office: Office, play: Any
) -> None:
    first, second = device.bundle("1"), device.bundle("2")
    office.release(first)
    office.order(first)
    parcel = office.parcel(first, device.folder / "1.ewx")
    office.release(second)
    office.order(second)
    play(run_once(device))
    with pytest.raises(TrustError, match="expected version"):
        play(device.agent.apply(parcel))


def test_an_order_for_another_device_is_none_here(
    device: Device, office: Office, play: Any
) -> None:
    """Nothing of it is kept, or its version would lock the device's own orders out."""
    first, second = device.bundle("1"), device.bundle("2")
    for path in (first, second):
        office.release(path)
    office.order(second)
    play(run_once(device))
    office.version += 1000
    office.order(first, to="d2")
    parcel = office.parcel(first, device.folder / "1.ewx")
    with pytest.raises(TrustError, match="for this device, d1, got one for d2"):
        play(device.agent.apply(parcel))
    with pytest.raises(TrustError, match="for this device, d1, got one for d2"):
        play(run_once(device))
    assert device.current == open_bundle(second).id
    office.version -= 1000
    office.order(first)
    play(run_once(device))
    assert device.current == open_bundle(first).id


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_no_part_of_another_devices_order_is_taken(
    device: Device, office: Office, play: Any, role: str
) -> None:
    """One key signs for all devices: whoever carries the files could mix those of one version."""
    path = device.bundle("1")
    office.release(path)
    office.order(path)
    name = f"{office.version}.{role}.json"
    office.version -= 1
    mine = dict(office.director.files)
    office.order(path, to="d2")
    office.director.files = mine | {name: office.director.files[name]}
    refused(device, play, "got one for d2")


def test_orders_that_name_nobody_are_taken_until_the_director_named_this_device(
    device: Device, office: Office, play: Any
) -> None:
    first, second, third = (device.bundle(version) for version in "123")
    for path in (first, second, third):
        office.release(path)
    office.order(first, to="")
    play(run_once(device))
    office.order(second)
    play(run_once(device))
    assert device.current == open_bundle(second).id
    office.order(third, to="")
    with pytest.raises(TrustError, match="got one for no device by name"):
        play(run_once(device))
    assert device.current == open_bundle(second).id


def test_an_air_gap_file_without_a_directors_word_says_so(
    device: Device, office: Office, play: Any
) -> None:
    path = device.bundle("1")
    office.release(path)
    office.director.files = {}
    parcel = office.parcel(path, device.folder / "1.ewx")
    with pytest.raises(TrustError, match="no director's word for this device inside"):
        play(device.agent.apply(parcel))


def test_damaged_metadata_takes_no_model_away(device: Device, office: Office, play: Any) -> None:
    path = device.bundle("1")
    office.release(path)
    office.order(path)
    play(run_once(device))
    kept = device.home.repositories / "image" / "targets.json"
    kept.write_bytes(kept.read_bytes().replace(b"tiny", b"tinz"))
    device.start()
    play(device.agent.settle())
    assert device.served == open_bundle(path).id


def test_a_clock_of_1970_is_lifted_to_the_time_of_the_build(tmp_path: Path) -> None:
    early = datetime.fromtimestamp(10, UTC)
    trust = TwoRepositories(tmp_path / "trust", floor_s=40 * DAY_S)
    keys = TrustedKeys(threshold=1, keys=(OFFLINE.public,))
    repository = Repository.founded(dict.fromkeys(ROLES, keys), now=early)
    repository = repository.signed_by(OFFLINE).published_at(early)
    trust.plant(repository.published["root"], None)
    for role in ROLES:
        (tmp_path / "trust" / "image" / f"{role}.json").write_bytes(repository.published[role])
    build_tiny(tmp_path / "1.ewb")
    bundle = open_bundle(tmp_path / "1.ewb")
    with pytest.raises(TrustError, match="expiry after 1970-02-10"):
        trust.agreed(_release_of(bundle.id), wall_s=20.0)


def _release_of(bundle_id: str) -> Any:
    from edgewright.device.agent import Release

    return Release(model="tiny", version="1", bundle_id=bundle_id)
