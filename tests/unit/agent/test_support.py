"""The support bundle: complete as far as the disk allows, and without the device's secret."""

import json
import tarfile
from pathlib import Path

import pytest

from edgewright.device.agent import (
    Home,
    Identity,
    Journal,
    PinnedKeys,
    Progress,
    Slots,
    read_status,
    write_support_bundle,
)
from edgewright.device.agent.facts import read_facts
from edgewright.device.agent.support import FOLDER, TAIL_BYTES
from edgewright.errors import InputError
from edgewright.stores import Log
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

SECRET = 's3cr"et-of-d1'
KEYS = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.save_enrolment(Identity(device="d1", fleet_url="http://f", secret=SECRET), KEYS)
    Journal(Log(place.journal_path)).write(Progress(model="m", reason="as told"))
    return place


def parts(home: Home, path: Path) -> dict[str, bytes]:
    slots = Slots(home.slots, PinnedKeys(KEYS))
    write_support_bundle(path, home, status=lambda: read_status(home, slots), at_s=1.7e9)
    with tarfile.open(path) as archive:
        return {
            member.name.removeprefix(f"{FOLDER}/"): file.read()
            for member in archive
            if (file := archive.extractfile(member))
        }


def test_it_holds_status_journal_and_facts(home: Home, tmp_path: Path) -> None:
    found = parts(home, tmp_path / "s.tar.gz")
    assert json.loads(found["status.json"])["history"][0]["reason"] == "as told"
    assert b"as told" in found["journal.log"]
    assert json.loads(found["facts.json"])["cores"] >= 1
    assert b"journal.log" in found["files.txt"]
    assert b"server.log" in found["missing.txt"]
    assert (tmp_path / "s.tar.gz").stat().st_mode & 0o077 == 0


def test_the_secret_is_nowhere_in_it_even_when_a_log_told_it(home: Home, tmp_path: Path) -> None:
    home.server_log.write_text(f"GET / authorization: Bearer {SECRET}\n")
    Journal(Log(home.journal_path)).write(Progress(model="m", reason=SECRET))
    found = parts(home, tmp_path / "s.tar.gz")
    assert "identity.json" not in found
    for content in found.values():
        assert SECRET.encode() not in content
        assert json.dumps(SECRET)[1:-1].encode() not in content
    assert b"[secret]" in found["server.log"]


def test_a_password_in_refused_settings_is_not_in_it(home: Home, tmp_path: Path) -> None:
    home.settings_path.write_text('poll_s = 5.0\nmqtt = "mqtts://d1:hu/sh@b.example:8883"\n')
    found = parts(home, tmp_path / "s.tar.gz")
    assert found["agent.toml"] == b'poll_s = 5.0\nmqtt = "mqtts://d1:[secret]@b.example:8883"\n'
    assert not any(b"hu/sh" in content for content in found.values())


def test_a_long_log_is_cut_at_a_line(home: Home, tmp_path: Path) -> None:
    home.server_log.write_bytes(b"".join(b"line %d\n" % n for n in range(200_000)))
    log = parts(home, tmp_path / "s.tar.gz")["server.log"]
    assert len(log) <= TAIL_BYTES
    assert log.startswith(b"line ")
    assert log.endswith(b"line 199999\n")


def test_what_cannot_be_read_hinders_nothing_else(home: Home, tmp_path: Path) -> None:
    home.identity_path.write_bytes(b"{broken")
    found = parts(home, tmp_path / "s.tar.gz")
    assert "status.json" not in found
    assert b"status.json: " in found["missing.txt"]
    assert b"as told" in found["journal.log"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there"):
        parts(Home(tmp_path / "none"), tmp_path / "s.tar.gz")


def test_facts_come_from_what_the_device_says(tmp_path: Path) -> None:
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    (sys / "firmware/devicetree/base").mkdir(parents=True)
    (sys / "firmware/devicetree/base/model").write_bytes(b"Board 5 Rev 1.0\0")
    proc.mkdir()
    (proc / "cpuinfo").write_text("model name\t: Quick\nFeatures\t: fp asimd asimddp\n")
    (proc / "meminfo").write_text("MemAvailable: 2048 kB\n")
    facts = read_facts(tmp_path, proc=proc, sys=sys)
    assert (facts.board, facts.cpu) == ("Board 5 Rev 1.0", "Quick")
    assert facts.cpu_flags == ("asimd", "asimddp")
    assert facts.health.memory_free_mb == 2.0
    assert facts.packages["edgewright"]
