"""What is taken from what apt prints, and that no package with another hash is unpacked."""

import hashlib
import subprocess
from pathlib import Path

import pytest

import arm64_plan
import arm64_rootfs
from arm64_plan import Package
from setup_venv import SetupError

SIMULATION = """\
Inst gcc-12-base (12.2.0-14+deb12u1 Debian:12.12/oldstable [arm64])
Inst libc6 (2.36-9+deb12u14 Debian:12.12/oldstable, Debian-Security:12/x [arm64]) []
Inst zlib1g (1:1.2.13.dfsg-1 Debian:12.12/oldstable [arm64])
Inst media-types (10.0.0 Debian:12.12/oldstable [all])
Conf libc6 (2.36-9+deb12u14 Debian:12.12/oldstable [arm64])
"""
RECORDS = """\
Package: libc6
Version: 2.36-9+deb12u14
Depends: libgcc-s1
MD5sum: 00
SHA256: aa

Package: zlib1g
Version: 1:1.2.13.dfsg-1
SHA256: bb
Description: a library
 SHA256: of something else

Package: broken
Version: 1
"""
DEB = Package("tool", "1:2.0", "arm64")


def test_packages_and_their_files_are_those_of_the_simulation() -> None:
    packages = arm64_plan.planned(SIMULATION)
    assert [one.name for one in packages] == ["gcc-12-base", "libc6", "zlib1g", "media-types"]
    assert packages[2].file_name == "zlib1g_1%3a1.2.13.dfsg-1_arm64.deb"
    assert packages[3].file_name == "media-types_10.0.0_all.deb"
    assert arm64_plan.glibc_minor(packages) == 36


def test_hashes_are_those_of_the_list() -> None:
    assert arm64_plan.hashes(RECORDS) == {
        ("libc6", "2.36-9+deb12u14"): "aa",
        ("zlib1g", "1:1.2.13.dfsg-1"): "bb",
    }


def test_wheels_fit_the_glibc_and_no_newer_one() -> None:
    names = arm64_plan.platforms(28)
    assert names[0] == "manylinux_2_28_aarch64"
    assert names[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")
    assert "manylinux_2_29_aarch64" not in names
    assert "--python-version=3.11" in arm64_plan.wheel_options(28, "3.11")


def test_of_the_extra_dev_only_what_runs_tests_is_taken() -> None:
    dev = ["mypy>=1.18", "pytest>=8.4", "pytest-cov>=6", "hypothesis>=6.130"]
    assert arm64_plan.test_requirements(dev) == ("pytest>=8.4", "hypothesis>=6.130")


def test_a_core_for_each_of_the_hosts() -> None:
    text = arm64_plan.cpuinfo(3)
    assert text.count("CPU part\t: 0xd0b") == 3
    assert text.startswith("processor\t: 0\n")
    assert "asimddp" in text


def test_the_interpreter_hands_on_its_arguments_and_calls_itself_by_its_own_name(
    tmp_path: Path,
) -> None:
    script = tmp_path / "with space" / "python"
    script.parent.mkdir()
    text = arm64_plan.python_script("echo", root=Path("/r"), python="python3.11", script=script)
    arm64_rootfs.write_script(script, text)
    printed = subprocess.check_output([script, "-c", "a  b"], text=True)
    assert printed == f"-L /r -cpu cortex-a76 -0 {script} /r/usr/bin/python3.11 -c a  b\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "archives" / DEB.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    return path


def test_a_package_with_the_signed_hash_is_taken(tmp_path: Path, archive: Path) -> None:
    known = {(DEB.name, DEB.version): hashlib.sha256(b"content").hexdigest()}
    arm64_rootfs.verify(tmp_path, [DEB], known)
    assert archive.exists()


@pytest.mark.parametrize("known", [{}, {(DEB.name, DEB.version): "00"}])
def test_a_package_with_another_hash_or_none_is_refused_and_removed(
    tmp_path: Path, archive: Path, known: dict[tuple[str, str], str]
) -> None:
    with pytest.raises(SetupError, match="run the command again"):
        arm64_rootfs.verify(tmp_path, [DEB], known)
    assert not archive.exists()


def test_its_apt_touches_nothing_of_the_hosts(tmp_path: Path) -> None:
    settings = arm64_plan.apt_settings(tmp_path)
    places = [line for line in settings.splitlines() if line.startswith("Dir::")]
    assert len(places) == 5
    assert all(f'"{tmp_path}/' in line or '"/dev/null"' in line for line in places)
