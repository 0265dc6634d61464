"""A fleet whose release files are in a bucket."""

import shutil
from pathlib import Path

import pytest

from edgewright.chain.fleet import open_fleet, trust
from edgewright.chain.fleet_backup import backup, restore
from edgewright.chain.fleet_blobs import BLOBS_CHOICE, RELEASES, choose_blobs
from edgewright.errors import InputError
from edgewright.testing.fleet import SIGNER, release_file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    home = tmp_path / "home"
    trust(home, [tmp_path / "key.pub"], threshold=1, by="ada")
    publish(home, tmp_path, "1")
    return home


def publish(home: Path, folder: Path, version: str) -> None:
    release_file(folder / f"{version}.ewb", version=version)
    with open_fleet(home) as office:
        office.registry.publish(folder / f"{version}.ewb", by="ada")


def content_of(home: Path, version: str) -> bytes:
    with open_fleet(home) as office:
        release = office.registry.release(f"tiny@{version}")
        return office.registry.file(release.bundle_id)[1].read_bytes()


def test_releases_go_to_the_bucket_and_come_from_it(
    home: Path, tmp_path: Path, bucket: str
) -> None:
    assert choose_blobs(home, bucket) == 1
    publish(home, tmp_path, "2")
    shutil.rmtree(home / RELEASES)
    for version in "12":
        assert content_of(home, version) == (tmp_path / f"{version}.ewb").read_bytes()
    assert choose_blobs(home, bucket) == 0
    with pytest.raises(InputError, match="in another store already"):
        choose_blobs(home, f"{bucket}&region=eu-west-1")


def test_a_backup_holds_what_the_bucket_holds(home: Path, tmp_path: Path, bucket: str) -> None:
    choose_blobs(home, bucket)
    shutil.rmtree(home / RELEASES)
    backup(home, tmp_path / "all.tar", by="ada")
    restore(tmp_path / "all.tar", tmp_path / "again", by="bert")
    assert not (tmp_path / "again" / BLOBS_CHOICE).exists()
    assert content_of(tmp_path / "again", "1") == (tmp_path / "1.ewb").read_bytes()


def test_a_folder_is_found_from_wherever_the_next_command_is_given(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path)
    assert choose_blobs(home, "store") == 1
    monkeypatch.chdir("/")
    shutil.rmtree(home / RELEASES)
    assert content_of(home, "1") == (tmp_path / "1.ewb").read_bytes()
    assert choose_blobs(home, str(tmp_path / "store")) == 0


@pytest.mark.parametrize("url", ["", "nowhere", "https://host/x"])
def test_what_is_no_store_is_refused_and_changes_nothing(home: Path, url: str) -> None:
    with pytest.raises(InputError):
        choose_blobs(home, url)
    assert not (home / BLOBS_CHOICE).exists()
    assert content_of(home, "1")
