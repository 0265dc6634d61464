import io
import tarfile
from pathlib import Path

import pytest

from edgewright.chain import trust_repository
from edgewright.chain.fleet import IMAGE, found_online_key, open_fleet, trust
from edgewright.chain.fleet_backup import backup, restore
from edgewright.chain.fleet_tls import FleetTls
from edgewright.clock import SystemClock
from edgewright.errors import InputError, TrustError
from edgewright.fleet.director import LOST_AT_MOST
from edgewright.testing.fleet import SIGNER, release_file
from edgewright.trust.repository import ROLES


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    home = tmp_path / "home"
    trust(home, [tmp_path / "key.pub"], threshold=1, by="ada")
    FleetTls(home).init(["fleet.example"])
    release_file(tmp_path / "1.ewb", version="1")
    with open_fleet(home) as office:
        office.registry.publish(tmp_path / "1.ewb", by="ada")
    return home


def test_a_restored_fleet_is_the_one_that_was_backed_up(home: Path, tmp_path: Path) -> None:
    made = backup(home, tmp_path / "all.tar", by="ada")
    assert (tmp_path / "all.tar").stat().st_mode & 0o077 == 0
    again = tmp_path / "again"
    assert restore(tmp_path / "all.tar", again, by="bert") == made
    with open_fleet(again) as office:
        release, path = office.registry.file(office.registry.release("tiny@1").bundle_id)
        assert path.read_bytes() == (tmp_path / "1.ewb").read_bytes()
        assert release.text == "tiny@1"
    assert FleetTls(again).pin() == FleetTls(home).pin()
    assert (again / "director" / "ahead").read_text() == f"{LOST_AT_MOST}\n"
    with pytest.raises(InputError, match="not empty"):
        restore(tmp_path / "all.tar", again, by="bert")
    with pytest.raises(InputError, match="exists already"):
        backup(home, tmp_path / "all.tar", by="ada")


def test_files_that_change_or_go_meanwhile_spoil_no_backup(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "arrivals").mkdir(exist_ok=True)
    (home / "arrivals" / "half").write_bytes(b"on its way")
    tick, large = home / "director" / "tick", home / "releases" / "large"
    tick.parent.mkdir(exist_ok=True)
    tick.write_text("1\n")
    large.write_bytes(bytes(5 << 20))
    add = tarfile.TarFile.add

    def meanwhile(self: tarfile.TarFile, *args: object, **kwargs: object) -> None:
        tick.write_text("22222\n")
        large.unlink(missing_ok=True)
        add(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(tarfile.TarFile, "add", meanwhile)
    made = backup(home, tmp_path / "all.tar", by="ada")
    names = {file.name for file in made.files}
    assert {"director/tick", "releases/large"} <= names
    assert not any(name.startswith("arrivals") for name in names)
    restore(tmp_path / "all.tar", tmp_path / "again", by="bert")
    assert (tmp_path / "again" / "director" / "tick").read_text() == "1\n"
    assert (tmp_path / "again" / "releases" / "large").stat().st_size == 5 << 20


def respun(source: Path, target: Path, change: str) -> None:
    """The same tar with one thing spoiled."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            stream = old.extractfile(member)
            content = stream.read() if stream else b""
            if change == "missing" and member.name.startswith("releases/"):
                continue
            if change == "changed" and member.name.startswith("releases/"):
                content = bytes([content[0] ^ 1]) + content[1:]
            new.addfile(member, io.BytesIO(content))
        if change == "escaping":
            extra = tarfile.TarInfo("../escaped")
            new.addfile(extra, io.BytesIO(b""))


@pytest.mark.parametrize("change", ["missing", "changed", "escaping"])
def test_a_backup_that_was_changed_restores_nothing(
    home: Path, tmp_path: Path, change: str
) -> None:
    backup(home, tmp_path / "all.tar", by="ada")
    respun(tmp_path / "all.tar", tmp_path / "bad.tar", change)
    with pytest.raises(TrustError):
        restore(tmp_path / "bad.tar", tmp_path / "again", by="bert")
    assert not (tmp_path / "again").exists()
    assert not (tmp_path / "escaped").exists()


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"no tar")
    with pytest.raises(InputError, match="no backup"):
        restore(tmp_path / "bad.tar", tmp_path / "again", by="bert")


@pytest.mark.parametrize("is_staged", [False, True])
def test_what_a_restored_fleet_signs_alone_is_above_what_devices_saw(
    home: Path, tmp_path: Path, *, is_staged: bool
) -> None:
    (tmp_path / "keeper.pub").write_text(SIGNER.public.public_hex)
    own = {"snapshot", "timestamp"}
    paths = {
        role: found_online_key(home) if role in own else tmp_path / "keeper.pub" for role in ROLES
    }
    image, wall_s = home / IMAGE, SystemClock().wall_s()
    keys = {role: trust_repository.KeyFiles(paths=(path,)) for role, path in paths.items()}
    trust_repository.found(image, keys, wall_s=wall_s)
    trust_repository.sign(image, SIGNER, wall_s=wall_s)
    if is_staged:
        trust_repository.renew(image, ["targets"], wall_s=wall_s)
    backup(home, tmp_path / "all.tar", by="ada")
    restore(tmp_path / "all.tar", tmp_path / "again", by="bert")
    if is_staged:
        trust_repository.sign(tmp_path / "again" / IMAGE, SIGNER, wall_s=wall_s)
    states = trust_repository.status(tmp_path / "again" / IMAGE, wall_s=wall_s).roles
    versions = {state.role: state.version or 0 for state in states}
    assert min(versions["snapshot"], versions["timestamp"]) > LOST_AT_MOST
    assert versions["targets"] == 1 + is_staged
