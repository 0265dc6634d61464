import asyncio
import zipfile
from pathlib import Path

import pytest

from edgewright.bundle import Bundle, Draft, build_bundle, unpack
from edgewright.contract import Contract, Tensor
from edgewright.device.agent import (
    PACKAGE,
    Home,
    PackageProbe,
    Packages,
    PackageServer,
    PinnedKeys,
    Slots,
)
from edgewright.device.agent.package import STARTS_MOST, _extract, wheel_version
from edgewright.device.agent.ports import Probe
from edgewright.errors import DeviceError, TrustError
from edgewright.telemetry import ProbeReport
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

SIGNER = MemorySigner.from_seed(1)
CONTRACT = Contract(
    inputs=(Tensor(name="home", dtype="string", shape=(1,)),),
    outputs=(Tensor(name="report", dtype="string", shape=(1,)),),
)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        trust = PinnedKeys(TrustedKeys(threshold=1, keys=(SIGNER.public,)))
        self.slots = Slots(self.home.slots, trust, reserve_mb=0)
        self.restarts = 0

    def as_run_from(self, code: Path) -> Packages:
        return Packages(self.home, self.slots, code)

    def server(self, packages: Packages) -> PackageServer:
        server = PackageServer(packages, is_on=True)
        server.on_restart = self._count
        return server

    def _count(self) -> None:
        self.restarts += 1

    def staged(
        self, version: str, *, member: str = "edgewright/__init__.py", **facts: str
    ) -> Bundle:
        wheel = self.folder / f"{version}.whl"
        said = facts.get("said", version)
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("edgewright/__main__.py", f"# {version}")
            archive.writestr(member, "")
            archive.writestr("e.dist-info/METADATA", f"Name: edgewright\nVersion: {said}\n")
        draft = Draft(
            name=PACKAGE,
            version=version,
            format=facts.get("format", "wheel"),
            precision="code",
            contract=CONTRACT,
        )
        path = self.folder / f"{version}.ewb"
        bundle = build_bundle(path, draft, [("model", wheel.name, wheel)], signers=[SIGNER])
        unpack(path, self.slots.folder(PACKAGE, bundle))
        return self.slots.verified(PACKAGE, bundle)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_the_installed_code_hands_over_to_what_is_current(rig: Rig) -> None:
    bundle = rig.staged("2.0")
    installed = rig.as_run_from(rig.folder / "opt")
    assert (installed.running, installed.current, installed.next_code) == ("", "", None)
    rig.slots.activate(PACKAGE, bundle.id)
    assert installed.next_code is None, "its code is not unpacked"
    code = installed.unpack(bundle)
    assert installed.next_code == code == rig.home.packages / bundle.id
    assert (code / "edgewright/__main__.py").read_text() == "# 2.0"
    own = rig.as_run_from(code)
    assert (own.running, own.next_code) == (bundle.id, None)


def test_a_package_that_does_not_live_is_given_up(rig: Rig) -> None:
    bundle = rig.staged("2.0")
    rig.slots.activate(PACKAGE, bundle.id)
    installed = rig.as_run_from(rig.folder / "opt")
    installed.unpack(bundle)
    for _ in range(STARTS_MOST):
        assert installed.next_code
        installed.note_start(bundle.id)
    assert installed.next_code is None
    with pytest.raises(DeviceError, match="started 3 times"):
        asyncio.run(rig.server(installed).show(PACKAGE, bundle.path))
    rig.as_run_from(rig.home.packages / bundle.id).note_health()
    assert installed.next_code


def test_starts_before_a_probe_do_not_count(rig: Rig) -> None:
    bundle = rig.staged("2.0")
    installed = rig.as_run_from(rig.folder / "opt")
    other = "a" * 64
    for bundle_id, is_given_up in ((bundle.id, False), (other, True)):
        for _ in range(STARTS_MOST):
            installed.note_start(bundle_id)
        report = asyncio.run(PackageProbe(installed, _passing, rig.home.root).run(bundle.path))
        assert report.passed
        assert installed.is_given_up(bundle_id) is is_given_up


def _passing(_: Path) -> Probe:
    class Passing:
        async def run(self, folder: Path) -> ProbeReport:
            return ProbeReport(passed=True)

    return Passing()


def test_torn_counts_of_starts_give_nobody_up(rig: Rig) -> None:
    packages = rig.as_run_from(rig.folder / "opt")
    packages.note_start("a" * 64)
    (rig.home.packages / "starts.json").write_bytes(b'{"bundle')
    assert not packages.is_given_up("a" * 64)


def test_showing_another_package_starts_anew(rig: Rig) -> None:
    old, new = rig.staged("1.0"), rig.staged("2.0")
    rig.slots.activate(PACKAGE, new.id)
    packages = rig.as_run_from(rig.home.packages / old.id)
    server = rig.server(packages)

    async def scene() -> None:
        await server.show(PACKAGE, old.path)
        assert rig.restarts == 0, "it is not the current one"
        assert await server.candidate(PACKAGE) is None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.try_out(PACKAGE, new.path, leads=True), 0.05)
        assert rig.restarts == 1
        leading = rig.server(rig.as_run_from(rig.home.packages / new.id))
        await leading.try_out(PACKAGE, new.path, leads=True)
        assert await leading.candidate(PACKAGE) is not None
        rig.slots.activate(PACKAGE, old.id)
        await leading.show(PACKAGE, old.path)
        assert rig.restarts == 2
        await leading.withdraw(PACKAGE)
        assert rig.restarts == 3

    asyncio.run(scene())
    packages.collect(keep="")
    assert {path.name for path in rig.home.packages.iterdir()} == {old.id}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"said": "3.0"}, "the wheel is version 3.0, its bundle says 2.0"),
        ({"format": "onnx"}, "is of format 'onnx'"),
        ({"member": "../outside.py"}, "may not be unpacked"),
        ({"member": "/outside.py"}, "may not be unpacked"),
    ],
)
def test_what_is_no_package_leaves_nothing(rig: Rig, options: dict[str, str], reason: str) -> None:
    packages = rig.as_run_from(rig.folder / "opt")
    with pytest.raises(TrustError, match=reason):
        packages.unpack(rig.staged("2.0", **options))
    assert not rig.home.packages.is_dir() or list(rig.home.packages.iterdir()) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_wheel_that_cannot_be_unpacked_is_not_trusted(tmp_path: Path, method: int) -> None:
    path, member = tmp_path / "w.whl", "e.dist-info/METADATA"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "Name: edgewright\nVersion: 2.0\n" * 9, compress_type=method)
    content = bytearray(path.read_bytes())
    start = 30 + len(member)  # behind the member's head, the first of the file
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(TrustError, match=f"the wheel's member '{member}'"):
        wheel_version(path)
    with pytest.raises(TrustError, match=f"the wheel's member '{member}'"):
        _extract(path, tmp_path / "out")
