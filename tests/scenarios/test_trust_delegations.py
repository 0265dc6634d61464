"""Attacks at delegations, against a device's folder; and a split project by its commands, from the
keepers to a device.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgewright.cli._main import root
from edgewright.device.agent.metadata import MetadataStore, fetch_target
from edgewright.errors import TransportError, TrustError
from edgewright.testing.folder_fetcher import FolderFetcher
from edgewright.testing.tuf_repository import TufRepository

ALL = ("har", "svg", "targets", "snapshot", "timestamp")


class Device:
    """A device that follows a repository with two projects, and has had har/1.ewb."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = TufRepository()
        for project in ("har", "svg"):
            self.repository.delegate(project, paths=(f"{project}/*",), is_terminating=True)
            self.repository.add_target(f"{project}/1.ewb", project.encode(), role=project)
        self.repository.publish(*ALL)
        self.store = MetadataStore(folder / "metadata", self.repository)
        self.store.plant(self.repository.file("1.root.json"))
        self.wall_s = self.repository.now.timestamp()

    def take(self, name: str) -> bytes:
        return asyncio.run(self._taken(name)).read_bytes()

    async def _taken(self, name: str) -> Path:
        trusted = await self.store.refresh(wall_s=self.wall_s)
        trusted, target = await self.store.find(trusted, name)
        folder = self.folder / "targets"
        folder.mkdir(exist_ok=True)
        return await fetch_target(trusted, target, fetcher=self.repository, folder=folder)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    device = Device(tmp_path)
    assert device.take("har/1.ewb") == b"har"
    return device


def sign_with_the_other_project(repository: TufRepository) -> None:
    """The keeper of svg signs a har."""
    repository.signers["har"] = repository.signers["svg"]
    repository.add_target("har/2.ewb", b"evil", role="har")
    repository.publish("har", "snapshot", "timestamp")


def sign_with_the_revoked_key(repository: TufRepository) -> None:
    """The key of har was changed; the old one signs once more."""
    stolen = repository.signers["har"]
    repository.signers["har"] = []
    repository.targets().delegations = None
    for project in ("har", "svg"):
        repository.delegate(project, paths=(f"{project}/*",), is_terminating=True)
    repository.signers["har"] = stolen
    repository.signers["svg"] = repository.signers["svg"][1:]
    repository.add_target("har/2.ewb", b"evil", role="har")
    repository.publish(*ALL)


def sign_with_one_of_two(repository: TufRepository) -> None:
    delegations = repository.targets().delegations
    assert delegations is not None
    assert delegations.roles is not None
    delegations.roles["har"].threshold = 2
    repository.add_target("har/2.ewb", b"evil", role="har")
    repository.publish(*ALL)


def list_a_name_of_another_project(repository: TufRepository) -> None:
    """The keeper of svg lists har/2.ewb: outside its paths."""
    repository.add_target("har/2.ewb", b"evil", role="svg")
    repository.publish("svg", "snapshot", "timestamp")


def list_a_name_of_nobody(repository: TufRepository) -> None:
    """The path's star stands for one part of a name."""
    repository.add_target("har/deep/2.ewb", b"evil", role="har")
    repository.publish("har", "snapshot", "timestamp")


def serve_the_old_list(repository: TufRepository) -> None:
    repository.files["2.har.json"] = repository.file("2.har.json")
    repository.add_target("har/2.ewb", b"new", role="har")
    repository.publish("har", "snapshot", "timestamp")
    repository.files["3.har.json"] = repository.file("2.har.json")


def name_an_older_list(repository: TufRepository) -> None:
    """Snapshot and timestamp keys are stolen: they name an old version of har."""
    repository.roles["har"].signed.version = 1
    repository.publish("snapshot", "timestamp")


def let_it_expire(repository: TufRepository) -> None:
    repository.roles["har"].signed.expires = repository.now - timedelta(days=1)
    repository.add_target("har/2.ewb", b"late", role="har")
    repository.publish("har", "snapshot", "timestamp")


def name_it_after_a_folder(repository: TufRepository) -> None:
    repository.delegate("../../etc/passwd", paths=("etc/*",), is_terminating=True)
    repository.publish("../../etc/passwd", "targets", "snapshot", "timestamp")


def delegate_in_a_ring(repository: TufRepository) -> None:
    """har lets svg speak for it, and svg har."""
    for delegator, role in (("har", "svg"), ("svg", "har")):
        repository.delegate(role, delegator=delegator, paths=("har/*",))
    repository.publish(*ALL)


REFUSED: dict[Callable[[TufRepository], None], tuple[str, str]] = {
    sign_with_the_other_project: ("har/2.ewb", r"har v3: expected signatures of 1 key\(s\)"),
    sign_with_the_revoked_key: ("har/2.ewb", r"har v3: expected signatures of 1 key\(s\)"),
    sign_with_one_of_two: ("har/2.ewb", r"har v3: expected signatures of 2 key\(s\).*got 1"),
    list_a_name_of_another_project: ("har/2.ewb", "expected in one of the roles har, targets"),
    list_a_name_of_nobody: ("har/deep/2.ewb", "expected in one of the roles targets"),
    serve_the_old_list: ("har/2.ewb", "har: expected version 3, got 2"),
    name_an_older_list: ("har/1.ewb", "har: expected version 2 or higher, got 1"),
    let_it_expire: ("har/2.ewb", "har v3: expected an expiry after"),
    delegate_in_a_ring: ("har/9.ewb", "expected in one of the roles har, svg, targets, got none"),
}


@pytest.mark.parametrize("attack", REFUSED, ids=lambda attack: attack.__name__)
def test_an_attack_at_a_delegation_is_refused_and_brings_no_file(
    device: Device, attack: Callable[[TufRepository], None]
) -> None:
    name, words = REFUSED[attack]
    before = (device.folder / "metadata/har.json").read_bytes()
    attack(device.repository)
    with pytest.raises(TrustError, match=words):
        device.take(name)
    assert [path.name for path in (device.folder / "targets").iterdir()] == ["har%2F1.ewb"]
    if attack is not delegate_in_a_ring:
        kept = device.folder / "metadata/har.json"
        assert attack == list_a_name_of_nobody or kept.read_bytes() == before


def test_a_role_named_after_a_folder_stays_in_its_own(device: Device) -> None:
    name_it_after_a_folder(device.repository)
    with pytest.raises(TrustError, match="got none"):
        device.take("etc/x.ewb")
    names = {path.name for path in (device.folder / "metadata").iterdir()}
    assert "%2E.%2F..%2Fetc%2Fpasswd.json" in names
    assert not (device.folder / "etc").exists()


def test_a_project_that_the_mirror_lacks_can_be_had_later(device: Device) -> None:
    device.repository.add_target("har/2.ewb", b"second", role="har")
    device.repository.publish("har", "snapshot", "timestamp")
    content = device.repository.files.pop("3.har.json")
    with pytest.raises(TransportError, match=r"the repository has no 3\.har\.json"):
        device.take("har/2.ewb")
    assert device.take("svg/1.ewb") == b"svg"
    device.repository.files["3.har.json"] = content
    assert device.take("har/2.ewb") == b"second"


def test_a_chain_of_delegations_ends_at_the_limit(device: Device) -> None:
    repository = device.repository
    delegator = "targets"
    for number in range(40):
        role = f"deep{number:02}"
        repository.delegate(role, delegator=delegator, paths=("deep/*",))
        delegator = role
    repository.publish(*(f"deep{number:02}" for number in range(40)), *ALL)
    with pytest.raises(TrustError, match="not found in 32 roles, the limit"):
        device.take("deep/1.ewb")


# By the commands


class Desk:
    """The keepers at a terminal, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def trust(self, *words: str) -> str:
        result = CliRunner().invoke(root, ["trust", *words], catch_exceptions=True)
        assert result.exception is None, result.exception
        return result.output

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def keygen(self, *names: str) -> None:
        for name in names:
            self.trust("keygen", self.path(f"{name}.key"), "--no-password")

    def sign(self, repo: str, *names: str) -> str:
        return [self.trust("sign", repo, "--key", self.path(f"{name}.key")) for name in names][-1]

    def add(self, repo: str, name: str, content: bytes) -> None:
        file = self._folder / "file.ewb"
        file.write_bytes(content)
        self.trust("add", repo, str(file), "--name", name)


def test_a_device_takes_what_a_projects_keepers_released(tmp_path: Path) -> None:
    desk, repo = Desk(tmp_path), str(tmp_path / "repository")
    desk.keygen("root", "online", "hana", "new")
    roles = {"root": "root", "targets": "root", "snapshot": "online", "timestamp": "online"}
    desk.trust(
        *("init", repo),
        *(w for role, who in roles.items() for w in (f"--{role}", desk.path(f"{who}.pub"))),
    )
    desk.sign(repo, "root", "online")
    desk.trust("delegate", repo, "har", "--key", desk.path("hana.pub"))
    desk.sign(repo, "root", "hana", "online")
    for number in range(5):
        desk.add(repo, f"har/{number}.ewb", b"%d" % number)
    assert "missing" not in desk.sign(repo, "hana", "online")
    desk.trust("split", repo, "har", "--bins", "4")
    desk.sign(repo, "hana", "online")
    assert "har-bin-*" in desk.trust("status", repo)
    assert "har/*" in desk.trust("status", repo)

    desk.trust("export", repo, "--out", desk.path("one"))
    assert brought(tmp_path, "one", "har/3.ewb") == b"3"
    kept = {path.name for path in (tmp_path / "device").glob("har-bin-*.json")}
    assert len(kept) == 1

    desk.trust("rotate", repo, "har", "--add", desk.path("new.pub"))
    desk.trust("revoke", repo, key_id(desk.path("hana.pub")))
    desk.sign(repo, "root", "new", "online")
    desk.trust("undelegate", repo, "har")
    desk.sign(repo, "root", "online")
    desk.trust("export", repo, "--out", desk.path("two"))
    assert brought(tmp_path, "two", "har/4.ewb") == b"4"


def key_id(path: str) -> str:
    from edgewright.keys.file import read_public_key

    return read_public_key(Path(path)).key_id


def brought(folder: Path, stick: str, name: str) -> bytes:
    """What a device has after it was given a stick."""

    async def bring() -> Path:
        store = MetadataStore(folder / "device", FolderFetcher(folder / stick / "metadata"))
        if not store.is_planted:
            store.plant((folder / stick / "root.json").read_bytes())
        trusted = await store.refresh(wall_s=time.time())
        trusted, target = await store.find(trusted, name)
        targets = FolderFetcher(folder / stick / "targets")
        return await fetch_target(trusted, target, fetcher=targets, folder=folder)

    return asyncio.run(bring()).read_bytes()
