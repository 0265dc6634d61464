"""A folder of wheels from which a machine without a network is given the package: which of them fit
it, and whether they are enough. Wheels for several kinds of machines may lie in one folder.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import BytesHeaderParser
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.fleet.push.checks import Check

PACKAGE = "edgewright"
METADATA_LIMIT_BYTES = 4 << 20

_OLDEST_GLIBC = 5
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_BYTE_CODE = 1.5
"""What lies there of a package: its files, and what Python keeps of them compiled."""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """The Python of a machine; zeros and empty where none was found."""

    version: tuple[int, int] = (0, 0)
    arch: str = ""
    glibc: tuple[int, int] = (0, 0)

    @property
    def tags(self) -> frozenset[Tag]:
        """The kinds of wheels that it takes."""
        names = [f"linux_{self.arch}"]
        for minor in range(self.glibc[1], _OLDEST_GLIBC - 1, -1):
            names.append(f"manylinux_2_{minor}_{self.arch}")
            if minor in _LEGACY:
                names.append(f"{_LEGACY[minor]}_{self.arch}")
        return frozenset(
            [
                *cpython_tags(python_version=self.version, platforms=names),
                *compatible_tags(python_version=self.version, platforms=names),
            ]
        )

    @property
    def markers(self) -> dict[str, str]:
        """What a requirement's condition may ask."""
        text = ".".join(map(str, self.version))
        return {
            "python_version": text,
            "python_full_version": f"{text}.0",
            "platform_machine": self.arch,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the folder."""

    path: Path
    name: str
    version: Version
    tags: frozenset[Tag]
    needs: tuple[str, ...]
    extras: frozenset[str]
    sha256: str
    size_bytes: int
    unpacked_bytes: int


def read_wheelhouse(folder: Path) -> tuple[Wheel, ...]:
    """Every wheel of a folder.

    Raises:
        InputError: no such folder, a damaged wheel, or this package is not among them.
    """
    with file_errors(folder, doing="reading"):
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".whl")
    wheels = tuple(map(_read_wheel, paths))
    if not any(wheel.name == PACKAGE for wheel in wheels):
        raise InputError(
            f"{folder}: no wheel of {PACKAGE} in it ({len(wheels)} wheels)",
            hint=f"fill it: pip download {PACKAGE} --only-binary=:all: -d {folder}",
        )
    return wheels


def chosen(
    wheels: Sequence[Wheel], machine: Interpreter, extras: Sequence[str] = ()
) -> tuple[tuple[Wheel, ...], list[str]]:
    """The newest wheels that fit a machine and are needed there, beginning with the package and
    these extras of it; and which requirements no wheel fulfils.
    """
    tags, markers = machine.tags, machine.markers
    fitting = sorted((w for w in wheels if w.tags & tags), key=lambda w: w.version, reverse=True)
    taken: dict[str, Wheel] = {}
    looked_at: set[tuple[str, str]] = set()
    lacking: list[str] = []
    names = ",".join(extras)
    waiting = [Requirement(f"{PACKAGE}[{names}]" if names else PACKAGE)]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        found = taken.get(name) or _newest(fitting, wanted)
        if found is None:
            lacking.append(str(wanted))
            continue
        if not wanted.specifier.contains(found.version, prereleases=True):
            lacking.append(f"{wanted} beside {name} {found.version}")
            continue
        taken[name] = found
        for extra in {"", *map(canonicalize_name, wanted.extras)}:
            if extra and extra not in found.extras:
                lacking.append(f"extra {extra} of {name} {found.version}, which has none such")
            elif (name, extra) not in looked_at:
                looked_at.add((name, extra))
                waiting += _needed(found, {**markers, "extra": extra})
    return tuple(taken.values()), lacking


def _newest(fitting: Sequence[Wheel], wanted: Requirement) -> Wheel | None:
    name = canonicalize_name(wanted.name)
    return next(
        (
            wheel
            for wheel in fitting
            if wheel.name == name and wanted.specifier.contains(wheel.version, prereleases=True)
        ),
        None,
    )


def package_prechecks(
    machine: Interpreter,
    *,
    has_venv: bool,
    disk_free_mb: float,
    wheels: Sequence[Wheel],
    lacking: Sequence[str],
    reserve_mb: float,
) -> Iterator[Check]:
    """What must hold before a package is sent."""
    version = ".".join(map(str, machine.version)) if machine.arch and machine.version[0] else ""
    yield _check("python", machine.version >= (3, 11), version or "none found", "3.11 or newer")
    yield _check("venv", has_venv, "present" if has_venv else "absent", "python3-venv")
    needed_mb = sum(_BYTE_CODE * w.unpacked_bytes + w.size_bytes for w in wheels) / 1e6
    needed_mb += reserve_mb
    yield _check(
        "disk for the package",
        disk_free_mb >= needed_mb,
        f"{disk_free_mb:.0f} MB free" if disk_free_mb >= 0 else "not said",
        f"{needed_mb:.0f} MB free",
    )
    kind = f"cp{machine.version[0]}{machine.version[1]}, {machine.arch}"
    yield _check(
        "wheels",
        wheels and not lacking,
        f"none for {', '.join(lacking[:5])}" if lacking else f"{len(wheels)} fit {kind}",
        f"every requirement, for {kind}",
    )


def _needed(wheel: Wheel, markers: dict[str, str]) -> list[Requirement]:
    try:
        found = [Requirement(text) for text in wheel.needs]
    except InvalidRequirement as error:
        raise InputError(f"{wheel.path}: {error}", hint="fetch the wheel again") from error
    return [one for one in found if one.marker is None or one.marker.evaluate(markers)]


def _read_wheel(path: Path) -> Wheel:
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
        with file_errors(path, doing="reading"), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # A wheel may carry others whole (setuptools does); its own stands at the top.
            (metadata,) = (
                m for m in members
                if m.filename.endswith(".dist-info/METADATA") and m.filename.count("/") == 1
            )  # fmt: skip
            if metadata.file_size > METADATA_LIMIT_BYTES:
                raise ValueError(f"METADATA of {metadata.file_size} bytes")
            headers = BytesHeaderParser().parsebytes(archive.read(metadata))
    except (InvalidWheelFilename, zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"{path}: not a wheel: {error}", hint="fetch it again") from error
    return Wheel(
        path=path,
        name=name,
        version=version,
        tags=frozenset(tags),
        sha256=_hash(path),
        needs=tuple(headers.get_all("Requires-Dist") or ()),
        extras=frozenset(map(canonicalize_name, headers.get_all("Provides-Extra") or ())),
        size_bytes=path.stat().st_size,
        unpacked_bytes=sum(member.file_size for member in members),
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(name: str, holds: object, measured: str, needed: str) -> Check:
    return Check(
        name=name, status="PASSED" if holds else "FAILED", measured=measured, needed=needed
    )
