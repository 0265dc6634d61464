"""The ceremony of docs/runbooks/keys.md, as its commands do it: founding, releasing, a lost key, a
stolen one, and a power cut between the last signature and the publication.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgewright.chain import signing_keys
from edgewright.chain import trust_repository as chain
from edgewright.device.agent.metadata import MetadataStore, fetch_target
from edgewright.errors import InputError, TrustError
from edgewright.keys import FileSigner
from edgewright.testing.folder_fetcher import FolderFetcher

NOW_S = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


class Keepers:
    """Key files of some people, and the repository that they keep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.repository = folder / "repository"
        self.ids: dict[str, str] = {}
        for name in ("alice", "bob", "carol", "online"):
            self.make_key(name)
        people = (self.public("alice"), self.public("bob"), self.public("carol"))
        keys = {
            "root": chain.KeyFiles(paths=people, threshold=2),
            "targets": chain.KeyFiles(paths=people[:2], threshold=2),
            "snapshot": chain.KeyFiles(paths=(self.public("online"),)),
            "timestamp": chain.KeyFiles(paths=(self.public("online"),)),
        }
        chain.found(self.repository, keys, wall_s=NOW_S)

    def make_key(self, name: str) -> None:
        self.ids[name] = signing_keys.make_key(self._folder / f"{name}.key", password=None)

    def public(self, name: str) -> Path:
        return self._folder / f"{name}.pub"

    def sign(self, *names: str, wall_s: float = NOW_S) -> chain.RepositoryStatus:
        for name in names:
            signer = FileSigner.load(self._folder / f"{name}.key")
            status = chain.sign(self.repository, signer, wall_s=wall_s)
        return status

    def release(self, name: str, content: bytes) -> None:
        file = self._folder / "file.ewb"
        file.write_bytes(content)
        chain.add_target(self.repository, file, name=name, wall_s=NOW_S)

    def export(self, name: str, *, wall_s: float = NOW_S) -> Path:
        out = self._folder / name
        chain.export(self.repository, out, wall_s=wall_s)
        return out


@pytest.fixture
def keepers(tmp_path: Path) -> Keepers:
    keepers = Keepers(tmp_path)
    keepers.release("har/1.ewb", b"first")
    status = keepers.sign("alice", "bob", "online")
    assert status.lacks == ()
    return keepers


def brought(device: Path, stick: Path, name: str) -> bytes:
    """What a device has after it was given a stick."""

    async def bring() -> Path:
        store = MetadataStore(device, FolderFetcher(stick / "metadata"))
        if not (device / "root.json").exists():
            store.plant((stick / "root.json").read_bytes())
        trusted = await store.refresh(wall_s=NOW_S)
        trusted, target = await store.find(trusted, name)
        fetcher = FolderFetcher(stick / "targets")
        return await fetch_target(trusted, target, fetcher=fetcher, folder=device)

    return asyncio.run(bring()).read_bytes()


def test_a_device_follows_what_the_keepers_signed(keepers: Keepers, tmp_path: Path) -> None:
    device = tmp_path / "device"
    assert brought(device, keepers.export("one"), "har/1.ewb") == b"first"
    keepers.release("har/2.ewb", b"second")
    keepers.sign("bob", "alice", "online")
    assert brought(device, keepers.export("two"), "har/2.ewb") == b"second"


def test_devices_follow_over_a_lost_key(keepers: Keepers, tmp_path: Path) -> None:
    device = tmp_path / "device"
    brought(device, keepers.export("before"), "har/1.ewb")
    keepers.make_key("dora")
    for role in ("root", "targets"):
        change = chain.KeyChange(
            role=role, add=(keepers.public("dora"),), remove=(keepers.ids["bob"],)
        )
        chain.rotate(keepers.repository, change, wall_s=NOW_S)
    keepers.sign("alice", "carol", "dora", "online")
    keepers.release("har/2.ewb", b"after bob")
    keepers.sign("alice", "dora", "online")
    assert brought(device, keepers.export("after"), "har/2.ewb") == b"after bob"


def test_a_stolen_key_signs_nothing_that_devices_take(keepers: Keepers, tmp_path: Path) -> None:
    device = tmp_path / "device"
    add = chain.KeyChange(role="targets", add=(keepers.public("carol"),))
    chain.rotate(keepers.repository, add, wall_s=NOW_S)
    chain.revoke(keepers.repository, keepers.ids["bob"], wall_s=NOW_S)
    keepers.sign("alice", "carol", "online")
    brought(device, keepers.export("after"), "har/1.ewb")
    keepers.release("har/evil.ewb", b"evil")
    with pytest.raises(InputError, match="has nothing to sign here"):
        keepers.sign("bob")


def test_a_publication_that_a_power_cut_stopped_is_finished(keepers: Keepers) -> None:
    keepers.release("har/2.ewb", b"second")
    keepers.sign("alice", "bob")
    staged = (keepers.repository / chain.STAGED_FILE).read_bytes()
    timestamp = keepers.repository / "metadata/timestamp.json"
    before = timestamp.read_bytes()
    keepers.sign("online")
    after = timestamp.read_bytes()
    timestamp.write_bytes(before)
    (keepers.repository / chain.STAGED_FILE).write_bytes(staged)
    assert keepers.sign("online").lacks == ()
    assert timestamp.read_bytes() == after
    (keepers.repository / chain.STAGED_FILE).write_bytes(staged)
    keepers.export("whole")


def test_nothing_that_devices_would_refuse_is_exported(keepers: Keepers) -> None:
    with pytest.raises(TrustError, match="timestamp v1: expected an expiry after"):
        keepers.export("late", wall_s=NOW_S + 8 * DAY_S)
    chain.renew(keepers.repository, ["timestamp"], wall_s=NOW_S + 8 * DAY_S)
    keepers.sign("online", wall_s=NOW_S + 8 * DAY_S)
    assert keepers.export("renewed", wall_s=NOW_S + 8 * DAY_S).exists()


def test_a_changed_target_file_is_not_exported(keepers: Keepers) -> None:
    (path,) = (keepers.repository / "targets").rglob("*.ewb")
    path.write_bytes(b"other")
    with pytest.raises(InputError, match="expected the file of target"):
        keepers.export("out")


def test_folders_that_are_no_or_another_repository_are_refused(
    keepers: Keepers, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is not a trust repository"):
        chain.status(tmp_path / "nothing", wall_s=NOW_S)
    with pytest.raises(InputError, match="is a repository already"):
        chain.found(keepers.repository, {}, wall_s=NOW_S)
    with pytest.raises(InputError, match="exists already"):
        chain.export(keepers.repository, tmp_path, wall_s=NOW_S)
    (keepers.repository / chain.STAGED_FILE).write_bytes(b"{")
    with pytest.raises(InputError, match="not JSON"):
        chain.status(keepers.repository, wall_s=NOW_S)


def test_an_unfinished_repository_is_not_exported(tmp_path: Path) -> None:
    keepers = Keepers(tmp_path)
    with pytest.raises(InputError, match="nothing is published yet"):
        keepers.export("out")
    keepers.make_key("stranger")
    with pytest.raises(InputError, match="nothing to sign"):
        keepers.sign("stranger")


@pytest.mark.parametrize(("password", "is_encrypted"), [(None, False), ("secret", True)])
def test_a_key_file_says_whether_it_needs_a_password(
    tmp_path: Path, password: str | None, is_encrypted: bool
) -> None:
    signing_keys.make_key(tmp_path / "key", password=password)
    assert signing_keys.is_encrypted(tmp_path / "key") == is_encrypted


def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("two words\nand no more\n", encoding="utf-8")
    assert signing_keys.read_password(tmp_path / "password") == "two words"
    assert signing_keys.read_password(None) is None
