"""What is installed here, which engines can run, and how to get what is missing.

Nothing is guessed: an engine counts as able only after its file was imported and asked.
"""

import re
import shutil
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import msgspec

from edgewright import __version__
from edgewright.chain.engines import engine_points, load_engine
from edgewright.errors import UnavailableError
from edgewright.measure.machine import describe_machine

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)")
_EXTRA = re.compile(r"""extra == ['"](?P<extra>[^'"]+)['"]""")

# Programs that some commands call when they are there, and what brings each.
PROGRAMS = {
    "git": "Debian package git",
    "mosquitto": "Debian package mosquitto",
    "hailo": "Hailo Dataflow Compiler, from the vendor",
    "trtexec": "TensorRT, from the vendor",
    "edgetpu_compiler": "Edge TPU compiler, from the vendor",
}


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """One engine: can it run here, which version, or how to get it."""

    name: str
    available: bool
    version: str = ""
    formats: tuple[str, ...] = ()
    reason: str = ""
    install: str = ""


class ExtraReport(msgspec.Struct, frozen=True, kw_only=True):
    """One extra of the package: which of its libraries are here and which are not."""

    name: str
    installed: dict[str, str]
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether all of it is installed."""
        return not self.missing


class ProgramReport(msgspec.Struct, frozen=True, kw_only=True):
    """One program outside Python."""

    name: str
    path: str
    get_it: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The whole examination."""

    version: str
    python: str
    machine: dict[str, object]
    disk_free_mb: int
    engines: tuple[EngineReport, ...]
    extras: tuple[ExtraReport, ...]
    programs: tuple[ProgramReport, ...]


def examine() -> Health:
    """Look at this machine and this installation."""
    return Health(
        version=__version__,
        python=sys.version.split()[0],
        machine=msgspec.to_builtins(describe_machine()),
        disk_free_mb=shutil.disk_usage(Path.cwd()).free >> 20,
        engines=tuple(_examine_engines()),
        extras=tuple(_examine_extras()),
        programs=tuple(
            ProgramReport(name=name, path=shutil.which(name) or "", get_it=get_it)
            for name, get_it in PROGRAMS.items()
        ),
    )


def _examine_engines() -> Iterable[EngineReport]:
    for point in engine_points():
        try:
            runtime = load_engine(point)
        except UnavailableError as error:
            yield EngineReport(
                name=point.name, available=False, reason=error.message, install=error.hint
            )
            continue
        state = runtime.availability()
        yield EngineReport(
            name=point.name,
            available=state.available,
            version=state.version,
            formats=runtime.formats,
            reason=state.reason,
            install=state.install,
        )


def _examine_extras() -> Iterable[ExtraReport]:
    wanted: dict[str, list[str]] = {}
    for line in distribution("edgewright").requires or []:
        extra, name = _EXTRA.search(line), _REQUIREMENT.match(line)
        if extra and name and name["name"] != "edgewright":
            wanted.setdefault(extra["extra"], []).append(name["name"])
    for extra_name, names in sorted(wanted.items()):
        versions = {name: _installed(name) for name in names}
        yield ExtraReport(
            name=extra_name,
            installed={name: text for name, text in versions.items() if text},
            missing=tuple(name for name, text in versions.items() if not text),
        )


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
