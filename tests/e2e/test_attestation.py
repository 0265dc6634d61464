"""A fleet that asks for a TPM's quote, and devices that enrol with one: real processes, swtpm."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fleet_process import FleetProcess, start_fleet
from tests.tokens import SoftTpm, soft_tpm

__all__ = ["soft_tpm"]

EDGEWRIGHT = [sys.executable, "-m", "edgewright"]
PCR = "16"


class Place:
    """A fleet, and a machine with a TPM."""

    def __init__(self, folder: Path, chip: SoftTpm) -> None:
        self.folder = folder
        self.fleet = str(folder / "fleet")
        self._env = {**os.environ, "TPM2TOOLS_TCTI": chip.tcti}
        self._server: FleetProcess | None = None
        self.url = ""

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [*EDGEWRIGHT, *words],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def use(self, chip: SoftTpm) -> None:
        """Another machine."""
        self._env["TPM2TOOLS_TCTI"] = chip.tcti

    def start(self) -> None:
        self._server = start_fleet(Path(self.fleet))
        self.url = self._server.devices

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def enrol(self, device: str, *more: str, code: int = 0) -> str:
        token = json.loads(self.run("device", "token", "--home", self.fleet, "--json"))["token"]
        home = str(self.folder / device)
        words = ("agent", "enroll", self.url, "--token", token, "--device", device, "--home", home)
        return self.run(*words, *more, code=code)

    def show(self, device: str) -> dict[str, Any]:
        home = str(self.folder / device)
        return json.loads(self.run("agent", "tpm", "show", "--home", home, "--pcr", PCR, "--json"))


@pytest.fixture
def place(tmp_path: Path, soft_tpm: SoftTpm) -> Iterator[Place]:
    soft_tpm.reset(int(PCR))
    made = Place(tmp_path, soft_tpm)
    yield made
    made.stop()
    soft_tpm.reset(int(PCR))


def test_a_device_that_started_something_else_is_not_let_in(
    place: Place, soft_tpm: SoftTpm, tmp_path: Path
) -> None:
    (tmp_path / "key.pub").write_text("00" * 32)
    place.run("fleet", "trust", str(tmp_path / "key.pub"), "--home", place.fleet)
    place.start()
    assert "asks for no TPM's quote" in place.enrol("early", "--tpm", code=2)
    golden = place.show("d1")
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    allow = ("fleet", "attest", "allow", "--home", place.fleet)
    place.run(*allow, str(tmp_path / "golden.json"))
    assert golden["pcrs"][PCR] in place.run("fleet", "attest", "show", "--home", place.fleet)

    assert "asks for a TPM's quote" in place.enrol("bare", code=2)
    assert "d1 is enrolled" in place.enrol("d1", "--tpm")
    soft_tpm.extend(int(PCR), "a rootkit")
    assert "register 16 is" in place.enrol("d2", "--tpm", code=2)
    assert not (tmp_path / "d2/identity.json").exists()

    soft_tpm.reset(int(PCR))
    place.run(*allow, "--key", golden["key_id"])
    assert "which is not on the list" in place.enrol("d3", "--tpm", code=2)
    place.run("fleet", "attest", "off", "--home", place.fleet)
    assert "d4 is enrolled" in place.enrol("d4")
    log = place.run("fleet", "audit", "show", "--home", place.fleet, "--json")
    assert f"attested by TPM key {golden['key_id'][:16]}" in log


def test_only_chips_of_a_listed_maker_are_let_in(place: Place, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text("00" * 32)
    place.run("fleet", "trust", str(tmp_path / "key.pub"), "--home", place.fleet)
    place.start()
    (tmp_path / "golden.json").write_text(json.dumps(place.show("golden")))
    allow = ("fleet", "attest", "allow", "--home", place.fleet)
    genuine = SoftTpm(tmp_path / "chip", maker=tmp_path / "maker")
    try:
        listed = tmp_path / "maker" / "issuercert.pem"
        said = place.run(*allow, str(tmp_path / "golden.json"), "--maker", str(listed))
        assert "swtpm-localca" in said
        assert "no certificate of its maker" in place.enrol("bare", "--tpm", code=3)
        place.use(genuine)
        assert "d1 is enrolled" in place.enrol("d1", "--tpm")
        _list_another_maker(place, tmp_path)
        assert "not on the list of makers" in place.enrol("d2", "--tpm", code=2)
    finally:
        genuine.stop()


def _list_another_maker(place: Place, folder: Path) -> None:
    other = SoftTpm(folder / "other-chip", maker=folder / "other")
    other.stop()
    place.run("fleet", "attest", "off", "--home", place.fleet)
    allow = ("fleet", "attest", "allow", "--home", place.fleet, str(folder / "golden.json"))
    place.run(*allow, "--maker", str(folder / "other" / "issuercert.pem"))


def test_a_secret_goes_through_the_commands_and_a_changed_boot_keeps_it(
    place: Place, soft_tpm: SoftTpm, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"disk key")
    sealed = str(tmp_path / "sealed.json")
    place.run("agent", "tpm", "seal", str(tmp_path / "secret"), "--out", sealed, "--pcr", PCR)
    assert place.run("agent", "tpm", "unseal", sealed) == "disk key"
    out = tmp_path / "out"
    place.run("agent", "tpm", "unseal", sealed, "--out", str(out))
    assert (out.read_bytes(), out.stat().st_mode & 0o777) == (b"disk key", 0o600)
    soft_tpm.extend(int(PCR), "a rootkit")
    assert "started something else" in place.run("agent", "tpm", "unseal", sealed, code=5)


def test_a_keeper_signs_with_the_tpm_of_the_machine(place: Place, tmp_path: Path) -> None:
    key, repo = f"tpm2:{tmp_path / 'keeper.tpm'}", str(tmp_path / "repository")
    place.run("trust", "keygen", key, "--out", str(tmp_path / "keeper.pub"))
    roles = ("--root", "--targets", "--snapshot", "--timestamp")
    place.run("trust", "init", repo, *(word for role in roles for word in (role, key)))
    status = json.loads(place.run("trust", "sign", repo, "--key", key, "--json"))
    assert status["lacks"] == []
    assert {role["version"] for role in status["roles"]} == {1}
