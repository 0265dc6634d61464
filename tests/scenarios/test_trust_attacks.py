"""A device's metadata folder against a repository that attacks: each attack is refused with its
reason and leaves nothing on disk, and an honest repository is followed again afterwards.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from edgewright.device.agent.metadata import PART_PREFIX, TIME_FILE, MetadataStore, fetch_target
from edgewright.errors import EdgewrightError, InputError, TransportError, TrustError
from edgewright.testing.tuf_repository import TufRepository
from edgewright.trust.metadata import MetadataLimits

CONTENT = bytes(range(256)) * 100
MEBIBYTE = 1 << 20


class Device:
    """A folder of metadata and one of targets, and the repository that it follows."""

    def __init__(self, folder: Path) -> None:
        self.repository = TufRepository()
        self.repository.has_metafile_hashes = True
        self.repository.add_target("har/1.ewb", CONTENT)
        self.repository.publish("targets", "snapshot", "timestamp")
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self.targets.mkdir()
        self.store = MetadataStore(self.metadata, self.repository)
        self.store.plant(self.repository.file("1.root.json"))
        self.wall_s = self.repository.now.timestamp()

    def refresh(self) -> dict[str, int]:
        return asyncio.run(self.store.refresh(wall_s=self.wall_s)).versions()

    def download(self, name: str = "har/1.ewb") -> Path:
        return asyncio.run(self._downloaded(name))

    def on_disk(self) -> dict[str, bytes]:
        folders = (self.metadata, self.targets)
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    async def _downloaded(self, name: str) -> Path:
        trusted = await self.store.refresh(wall_s=self.wall_s)
        trusted, target = await self.store.find(trusted, name)
        return await fetch_target(trusted, target, fetcher=self.repository, folder=self.targets)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    device = Device(tmp_path)
    device.refresh()
    return device


def roll_the_timestamp_back(repository: TufRepository) -> None:
    repository.timestamp.version = 1
    repository.publish("timestamp", is_next=False)


def roll_the_snapshot_back(repository: TufRepository) -> None:
    repository.snapshot.version = 1
    repository.publish("snapshot", is_next=False)
    repository.publish("timestamp")


def freeze(repository: TufRepository) -> None:
    repository.timestamp.expires = repository.now
    repository.publish("timestamp")


def mix_in_another_snapshot(repository: TufRepository) -> None:
    repository.publish("snapshot", "timestamp")
    repository.files["3.snapshot.json"] = repository.file("2.snapshot.json")


def send_endless_metadata(repository: TufRepository) -> None:
    repository.files["timestamp.json"] += b" " * MEBIBYTE


def sign_with_too_few(repository: TufRepository) -> None:
    document = json.loads(repository.file("timestamp.json"))
    document["signed"]["version"] += 1
    repository.files["timestamp.json"] = json.dumps(document).encode()


def sign_with_a_stranger(repository: TufRepository) -> None:
    repository.signers["timestamp"] = [repository.new_signer()]
    repository.publish("timestamp")


def serve_another_root(repository: TufRepository) -> None:
    repository.files["2.root.json"] = TufRepository().file("1.root.json")


def serve_no_metadata(repository: TufRepository) -> None:
    repository.files["timestamp.json"] = b"<html>captive portal</html>"


REFUSED_AT_ONCE: dict[Callable[[TufRepository], None], str] = {
    roll_the_timestamp_back: "timestamp: expected version 2 or higher, got 1",
    roll_the_snapshot_back: "snapshot: expected version 2 or higher, got 1",
    freeze: "timestamp v3: expected an expiry after 2030-01-01T00:00:00Z",
    send_endless_metadata: "timestamp: expected at most 16384 bytes, got more",
    sign_with_too_few: r"timestamp v3: expected signatures of 1 key\(s\).*got 0",
    sign_with_a_stranger: r"timestamp v3: expected signatures of 1 key\(s\).*got 0",
    serve_another_root: "root: expected version 2, got 1",
    serve_no_metadata: "timestamp: expected well-formed metadata",
}


@pytest.mark.parametrize("attack", REFUSED_AT_ONCE, ids=lambda attack: attack.__name__)
def test_an_attack_is_refused_and_leaves_no_trace(
    device: Device, attack: Callable[[TufRepository], None]
) -> None:
    before, served = device.on_disk(), dict(device.repository.files)
    attack(device.repository)
    with pytest.raises(TrustError, match=REFUSED_AT_ONCE[attack]):
        device.refresh()
    assert device.on_disk() == before
    device.repository.files = served
    assert device.refresh() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_a_mixed_snapshot_is_refused_and_the_old_one_stays(device: Device) -> None:
    mix_in_another_snapshot(device.repository)
    snapshot = (device.metadata / "snapshot.json").read_bytes()
    with pytest.raises(TrustError, match="snapshot v3: expected the announced length and hashes"):
        device.refresh()
    assert (device.metadata / "snapshot.json").read_bytes() == snapshot


def test_a_revoked_key_is_refused_after_its_revocation_was_seen(device: Device) -> None:
    stolen = device.repository.signers["targets"][0]
    device.repository.rotate("targets")
    device.repository.publish("root", "targets", "snapshot", "timestamp")
    assert device.refresh()["root"] == 2
    device.repository.signers["targets"] = [stolen]
    device.repository.add_target("har/2.ewb", b"forged")
    device.repository.publish("targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match="targets v4: expected signatures of 1 key"):
        device.download("har/2.ewb")
    assert list(device.targets.iterdir()) == []


def test_a_thief_who_counted_up_is_left_behind_by_new_keys(device: Device) -> None:
    repository = device.repository
    for role in ("snapshot", "timestamp"):
        repository.roles[role].signed.version = 10**6
    repository.publish("snapshot", "timestamp")
    assert device.refresh()["timestamp"] == 10**6 + 1
    for role in ("snapshot", "timestamp"):
        repository.rotate(role)
        repository.roles[role].signed.version = 2
    repository.publish("root", "snapshot", "timestamp")
    assert device.refresh() == {"root": 2, "timestamp": 3, "snapshot": 3, "targets": 2}


def test_endless_roots_are_refused_and_the_progress_is_kept(device: Device) -> None:
    for _ in range(5):
        device.repository.publish("root")
    device.store = MetadataStore(
        device.metadata, device.repository, limits=MetadataLimits(root_rotations=3)
    )
    with pytest.raises(TrustError, match="root: expected at most 3 new ones at once"):
        device.refresh()
    assert device.refresh()["root"] == 6


# Targets


def test_a_target_is_downloaded_once(device: Device) -> None:
    path = device.download()
    assert path.read_bytes() == CONTENT
    device.repository.requests.clear()
    assert device.download() == path
    assert not any("har/" in request for request in device.repository.requests)


def served_target(repository: TufRepository) -> str:
    (name,) = (name for name in repository.files if name.endswith("1.ewb"))
    return name


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (CONTENT[:-1] + b"!", "expected sha256"),
        (CONTENT + b"!" * MEBIBYTE, "expected 25600 bytes, got more"),
    ],
    ids=["wrong-hash", "endless"],
)
def test_a_substituted_target_is_refused_and_leaves_no_trace(
    device: Device, served: bytes, reason: str
) -> None:
    device.repository.files[served_target(device.repository)] = served
    with pytest.raises(TrustError, match=reason):
        device.download()
    assert list(device.targets.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../har.ewb", "/etc/passwd", "a//b", "a/./b", "", "a\\b", "a\nb", "..", "n" * 201]
)
def test_a_target_name_that_leaves_its_folder_is_refused(device: Device, name: str) -> None:
    device.repository.add_target("x", b"content")
    targets = device.repository.targets().targets
    targets[name] = targets.pop("x")
    device.repository.publish("targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match="name"):
        device.download(name)
    assert list(device.targets.iterdir()) == []


def test_a_cut_download_goes_on_where_it_was_cut(device: Device) -> None:
    device.repository.cuts[served_target(device.repository)] = 10_000
    with pytest.raises(TransportError, match="closed early"):
        device.download()
    (part,) = device.targets.iterdir()
    assert part.name.startswith(PART_PREFIX)
    assert part.read_bytes() == CONTENT[:10_000]
    device.repository.sent_bytes = 0
    assert device.download().read_bytes() == CONTENT
    assert 15_600 <= device.repository.sent_bytes < 17_000
    assert [path.name for path in device.targets.iterdir()] == ["har%2F1.ewb"]


def test_a_download_that_ends_early_without_a_word_can_go_on(device: Device) -> None:
    name = served_target(device.repository)
    device.repository.files[name] = CONTENT[:10_000]
    with pytest.raises(TransportError, match="cut short after 10000 of 25600 bytes"):
        device.download()
    device.repository.files[name] = CONTENT
    assert device.download().read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [b"\0" * 500, CONTENT + b"longer"], ids=["zeros", "too-long"])
def test_a_part_that_a_power_cut_tore_is_begun_anew(device: Device, damage: bytes) -> None:
    digest = served_target(device.repository).split("/")[1].split(".")[0]
    (device.targets / f"{PART_PREFIX}{digest[:32]}").write_bytes(damage)
    assert device.download().read_bytes() == CONTENT


def test_a_whole_part_is_not_fetched_again(device: Device) -> None:
    digest = served_target(device.repository).split("/")[1].split(".")[0]
    (device.targets / f"{PART_PREFIX}{digest[:32]}").write_bytes(CONTENT)
    assert device.download().read_bytes() == CONTENT
    assert served_target(device.repository) not in device.repository.requests


def test_a_part_of_another_target_does_not_stay(device: Device) -> None:
    (device.targets / f"{PART_PREFIX}other").write_bytes(b"old")
    device.download()
    assert len(list(device.targets.iterdir())) == 1


def test_an_empty_target_is_a_file(device: Device) -> None:
    device.repository.add_target("empty", b"")
    device.repository.publish("targets", "snapshot", "timestamp")
    assert device.download("empty").read_bytes() == b""


def test_a_target_that_the_mirror_lacks_can_be_had_later(device: Device) -> None:
    content = device.repository.files.pop(name := served_target(device.repository))
    with pytest.raises(TransportError, match="the repository has no har/"):
        device.download()
    device.repository.files[name] = content
    assert device.download().read_bytes() == CONTENT


# Time


def test_a_clock_set_back_does_not_revive_what_had_expired(device: Device) -> None:
    device.wall_s += timedelta(days=20).total_seconds()
    device.refresh()
    old = device.repository.file("timestamp.json")
    device.repository.publish("timestamp")
    device.wall_s = 0.0
    device.repository.timestamp.expires = device.repository.now + timedelta(days=19)
    device.repository.publish("timestamp")
    with pytest.raises(TrustError, match="expected an expiry after 2030-01-21"):
        device.refresh()
    assert old == (device.metadata / "timestamp.json").read_bytes()


def test_a_clock_far_ahead_stops_updates_and_nothing_more(device: Device) -> None:
    before = device.on_disk()
    now_s, device.wall_s = device.wall_s, 4_070_908_800.0
    with pytest.raises(TrustError, match="expected an expiry after 2099-01-01"):
        device.refresh()
    assert device.on_disk() == before
    device.wall_s = now_s
    assert device.refresh()["timestamp"] == 2


def test_a_floor_stands_in_for_a_clock_that_was_never_set(device: Device) -> None:
    refresh = device.store.refresh(wall_s=0.0, floor_s=device.repository.expires.timestamp())
    with pytest.raises(TrustError, match="expected an expiry after 2030-01-31"):
        asyncio.run(refresh)


@pytest.mark.parametrize("text", [b"99999999999\n", b"", b"noon\n", b"4070908800\n"])
def test_a_damaged_time_file_does_not_end_updates(device: Device, text: bytes) -> None:
    (device.metadata / TIME_FILE).write_bytes(text)
    assert device.refresh()["timestamp"] == 2


# The folder


def test_a_folder_trusts_one_root_only(device: Device) -> None:
    with pytest.raises(InputError, match="exists already"):
        device.store.plant(device.repository.file("1.root.json"))


def test_a_folder_without_a_root_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no root was planted"):
        asyncio.run(MetadataStore(tmp_path, TufRepository()).refresh(wall_s=0.0))


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "targets.json"])
@pytest.mark.parametrize("damage", [b"", b"{}", b" " * 6 * MEBIBYTE], ids=["cut", "other", "huge"])
def test_a_damaged_file_is_fetched_again(device: Device, name: str, damage: bytes) -> None:
    whole = device.on_disk()
    (device.metadata / name).write_bytes(damage)
    device.refresh()
    assert device.on_disk() == whole


def test_roles_that_the_repository_gave_up_leave_the_folder(device: Device) -> None:
    repository = device.repository
    repository.delegate("child")
    repository.add_target("c", b"c", role="child")
    repository.publish("child", "targets", "snapshot", "timestamp")
    device.download("c")
    assert (device.metadata / "child.json").exists()
    del repository.roles["child"], repository.snapshot.meta["child.json"]
    repository.rotate("snapshot")
    repository.publish("root", "snapshot", "timestamp")
    device.refresh()
    assert not (device.metadata / "child.json").exists()


def test_nothing_that_is_kept_is_fetched_again(device: Device) -> None:
    device.repository.requests.clear()
    device.refresh()
    assert device.repository.requests == ["2.root.json", "timestamp.json"]


def test_a_refresh_that_ends_anywhere_is_made_good_by_the_next(tmp_path: Path) -> None:
    """The line breaks at every request in turn."""
    device = Device(tmp_path)
    device.repository.publish("root")
    device.repository.publish("root", "targets", "snapshot", "timestamp")
    broken = 0
    for nth in range(20):
        device.store = MetadataStore(device.metadata, Breaking(device.repository, nth))
        try:
            device.refresh()
        except EdgewrightError:
            broken += 1
        else:
            break
    assert broken > 0
    device.store = MetadataStore(device.metadata, device.repository)
    assert device.refresh() == {"root": 3, "timestamp": 3, "snapshot": 3, "targets": 3}
    names = {path.name for path in device.metadata.iterdir()}
    assert names == {f"{role}.json" for role in device.refresh()} | {TIME_FILE}


class Breaking:
    """Answers some requests, and then no more."""

    def __init__(self, repository: TufRepository, answers: int) -> None:
        self._repository = repository
        self._left = answers

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        self._left -= 1
        if self._left < 0:
            raise TransportError("the line is dead")
        return await self._repository.open(path, offset=offset, limit_bytes=limit_bytes)
