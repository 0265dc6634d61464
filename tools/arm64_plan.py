"""The rules of `arm64_rootfs.py`: what its apt is told, what to take from what apt says, which
wheels fit, what makes a finished root stale. Values in, values out.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEBIAN_PACKAGES = ("python3", "libstdc++6", "libpython3-dev")
"""What the device package needs of the system; the rest they bring along."""

CPU = "cortex-a76"
"""A Raspberry Pi 5's: its integer dot products are those that a quantised model runs with there."""

TEST_PACKAGES = (
    "hypothesis",
    "pytest",
    "pytest-randomly",
    "pytest-socket",
    "pytest-timeout",
    "pytest-xdist",
)
"""So that the project's own tests run in there with the project's own settings."""

_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", re.MULTILINE)
_OLDEST_GLIBC_MINOR = 17


@dataclass(frozen=True)
class Package:
    """A Debian package that the root is made of."""

    name: str
    version: str
    architecture: str

    @property
    def file_name(self) -> str:
        """As apt names the file in its cache."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def apt_settings(folder: Path) -> str:
    """An apt with lists, cache and idea of what is installed of its own, for arm64. The host's
    packages and architectures stay as they are.
    """
    return "".join(
        f"{line};\n"
        for line in (
            'APT::Architecture "arm64"',
            'APT::Architectures {"arm64";}',
            'APT::Install-Recommends "false"',
            'APT::Sandbox::User ""',
            f'Dir::State "{folder}/state"',
            f'Dir::State::status "{folder}/status"',
            f'Dir::Cache "{folder}/cache"',
            'Dir::Etc::sourcelist "/dev/null"',
            f'Dir::Etc::sourceparts "{folder}/sources"',
            'Acquire::Languages "none"',
            'Acquire::Retries "3"',
        )
    )


def planned(simulation: str) -> tuple[Package, ...]:
    """The packages that `apt-get install --simulate` would install."""
    return tuple(
        Package(name.partition(":")[0], version, architecture)
        for name, version, architecture in _INSTALLED.findall(simulation)
    )


def hashes(records: str) -> dict[tuple[str, str], str]:
    """SHA-256 by name and version, from what `apt-cache show` prints of Debian's signed lists."""
    found: dict[tuple[str, str], str] = {}
    for record in records.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|SHA256): (.+)$", record, re.MULTILINE))
        if len(fields) == 3:
            found[fields["Package"], fields["Version"]] = fields["SHA256"]
    return found


def glibc_minor(packages: Iterable[Package]) -> int:
    """The 36 of glibc 2.36, from the version of Debian's package."""
    (version,) = (package.version for package in packages if package.name == "libc6")
    found = re.match(r"2\.(\d+)", version)
    if found is None:
        raise ValueError(f"libc6 {version}: not a version 2.x")
    return int(found.group(1))


def platforms(minor: int) -> tuple[str, ...]:
    """The tags of wheels that run on aarch64 with this glibc, the newest first."""
    newest_first = range(minor, _OLDEST_GLIBC_MINOR - 1, -1)
    return (*(f"manylinux_2_{n}_aarch64" for n in newest_first), "manylinux2014_aarch64")


def wheel_options(minor: int, python: str) -> tuple[str, ...]:
    """What makes pip choose wheels for that machine instead of this one."""
    named = (f"--platform={name}" for name in platforms(minor))
    return ("--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *named)


def test_requirements(dev: Sequence[str]) -> tuple[str, ...]:
    """Those of the extra `dev` that running tests takes."""
    return tuple(one for one in dev if re.split(r"[<>=~!; \[]", one)[0] in TEST_PACKAGES)


def cpuinfo(cores: int) -> str:
    """What /proc/cpuinfo says on such a machine. qemu shows the host's instead, in whose words
    ONNX Runtime looks for an ARM core, finds none and crashes.
    """
    lines = [
        "BogoMIPS\t: 108.00",
        f"Features\t: {_FEATURES}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x4",
        "CPU part\t: 0xd0b",
        "CPU revision\t: 1",
    ]
    return "\n".join("\n".join([f"processor\t: {core}", *lines, ""]) for core in range(cores))


def python_script(qemu: str, *, root: Path, python: str, script: Path) -> str:
    """The interpreter of the virtual environment: a script, so that no kernel has to know of qemu
    (binfmt_misc) and a process that starts `sys.executable` again comes out right.
    """
    command = f"{qemu} -L '{root}' -cpu {CPU} -0 '{script}' '{root}/usr/bin/{python}'"
    return f'#!/bin/sh\nexec {command} "$@"\n'


def fingerprint(parts: Mapping[str, bytes]) -> str:
    """Changes when anything changes that a finished root depends on."""
    digest = hashlib.sha256()
    for name, content in sorted(parts.items()):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()
