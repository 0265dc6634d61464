"""The agent's own code as a release: a wheel in a bundle, taken by the path that models take.

    slots/edgewright-agent/current   -> which package runs; absent means the one that was installed
    packages/<bundle_id>/            its code, unpacked beside the old one
    packages/starts.json             starts of a package that did not prove itself yet

The installed code stays as it is and begins every start: it hands over to the current package, and
after three starts that did not live it goes on itself, finds the update in its journal and returns
to the package before. The state machine is the models' (`machine`): the probe is a health check by
the new code in a process of its own, activation swaps `current` and starts anew, probation is the
new agent living. The server goes on answering meanwhile and is kept.
"""

import asyncio
import logging
import zipfile
import zlib
from collections.abc import Callable
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

import msgspec

from edgewright import _fs
from edgewright.bundle import Bundle, open_bundle
from edgewright.device.agent.home import Home
from edgewright.device.agent.ports import CandidateSample, Probe, ServingSample
from edgewright.device.agent.slots import Slots
from edgewright.errors import DeviceError, EdgewrightError, TrustError
from edgewright.telemetry import ProbeReport

PACKAGE = "edgewright-agent"
"""The name of the release; no model may have it."""
FORMAT = "wheel"
DISTRIBUTION = "edgewright"
STARTS_MOST = 3
HEALTHY_S = 60.0
"""A package that lived so long starts well."""
UNPACKED_LIMIT_BYTES = 256 << 20
STARTS_LIMIT_BYTES = 4096

_log = logging.getLogger(__name__)


class Starts(msgspec.Struct, frozen=True, kw_only=True):
    """How often a package was started without living on."""

    bundle_id: str = ""
    count: int = 0


class Packages:
    """The packages of one device. `code` is where the running code was imported from."""

    def __init__(self, home: Home, slots: Slots, code: Path) -> None:
        self._root = home.packages
        self._slots = slots
        self._code = code.resolve()

    @property
    def running(self) -> str:
        """The package whose code this process runs, "" for the installed one."""
        is_ours = self._code.parent == self._root.resolve()
        return self._code.name if is_ours else ""

    @property
    def current(self) -> str:
        """The package that is to run, "" for the installed one."""
        return self._slots.current(PACKAGE)

    @property
    def next_code(self) -> Path | None:
        """The folder of the code that should run instead of this one, if any may."""
        current = self.current
        folder = self.folder(current)
        is_other = bool(current) and current != self.running
        return folder if is_other and folder.is_dir() and not self.is_given_up(current) else None

    def folder(self, bundle_id: str) -> Path:
        """Where a package's code lies, or would."""
        return self._root / bundle_id

    def is_given_up(self, bundle_id: str) -> bool:
        """Whether a package was started too often without living."""
        starts = self._starts()
        return starts.bundle_id == bundle_id and starts.count >= STARTS_MOST

    def note_start(self, bundle_id: str) -> None:
        """Count a start, before it happens."""
        starts = self._starts()
        count = starts.count + 1 if starts.bundle_id == bundle_id else 1
        content = msgspec.json.encode(Starts(bundle_id=bundle_id, count=count))
        _fs.write_atomic(self._root / "starts.json", content)

    def note_health(self) -> None:
        """What runs lives: forget its starts."""
        self.forget_starts(self.running)

    def forget_starts(self, bundle_id: str) -> None:
        """A package is to be tried from the beginning: what it did before does not count."""
        if self._starts().bundle_id == bundle_id:
            _fs.remove_tree(self._root / "starts.json")

    def unpack(self, bundle: Bundle) -> Path:
        """The code of a verified package, unpacked whole or not at all.

        Raises:
            TrustError: it is no package of this software, or not of its bundle's version.
        """
        folder = self.folder(bundle.id)
        if folder.is_dir():
            return folder
        if bundle.manifest.format != FORMAT:
            raise TrustError(
                f"{PACKAGE} {bundle.manifest.version} is of format {bundle.manifest.format!r}, "
                f"expected {FORMAT!r}",
                hint="build it with `edgewright bundle package WHEEL`",
            )
        wheel = bundle.file(bundle.blob("model"))
        version = wheel_version(wheel)
        if version != bundle.manifest.version:
            raise TrustError(
                f"the wheel is version {version}, its bundle says {bundle.manifest.version}"
            )
        with _fs.atomic_folder(folder) as place:
            _extract(wheel, place)
        return folder

    def collect(self, keep: str) -> None:
        """Remove all code but what runs, what is to run, and what is to be kept."""
        if not self._root.is_dir():
            return
        needed = {self.running, self.current, keep, "starts.json"}
        for path in self._root.iterdir():
            if path.name not in needed:
                _fs.remove_tree(path)

    def _starts(self) -> Starts:
        path = self._root / "starts.json"
        if not path.exists():
            return Starts()
        try:
            content = _fs.read_limited(path, limit_bytes=STARTS_LIMIT_BYTES)
            return msgspec.json.decode(content, type=Starts)
        except (EdgewrightError, msgspec.DecodeError) as error:
            _log.warning("%s: %s", path, error)
            return Starts()


class PackageProbe:
    """The health check of a package: its own code looks at this home, in a process of its own."""

    def __init__(self, packages: Packages, check: Callable[[Path], Probe], home: Path) -> None:
        self._packages = packages
        self._check = check
        self._home = home

    async def run(self, folder: Path) -> ProbeReport:
        """See `Probe`."""
        bundle = open_bundle(folder)
        self._packages.forget_starts(bundle.id)
        try:
            self._packages.collect(bundle.id)
            code = self._packages.unpack(bundle)
        except TrustError as error:
            return ProbeReport(passed=False, reason=str(error))
        return await self._check(code).run(self._home)


class PackageServer:
    """What serves a package is this agent itself: to show another one is to start anew."""

    def __init__(self, packages: Packages, *, is_on: bool) -> None:
        self.is_on = is_on
        self._packages = packages
        self.on_restart: Callable[[], None] = _nothing

    async def show(self, model: str, folder: Path) -> None:
        """Run this package if it is the current one.

        Raises:
            DeviceError: it was tried before, and does not live.
        """
        packages = self._packages
        if not self.is_on or packages.current != folder.name or packages.running == folder.name:
            return
        self._require_hope(folder.name)
        packages.unpack(open_bundle(folder))
        self.on_restart()

    async def try_out(self, model: str, folder: Path, *, leads: bool) -> None:
        """Run this package; comes back in the process that does, the others end meanwhile.

        Raises:
            DeviceError: it was tried before, and does not live.
        """
        if self._packages.running == folder.name:
            return
        self._require_hope(folder.name)
        self._packages.unpack(open_bundle(folder))
        self.on_restart()
        await asyncio.Event().wait()

    async def candidate(self, model: str) -> CandidateSample | None:
        """The current package where this process is it."""
        packages = self._packages
        is_leading = bool(packages.running) and packages.running == packages.current
        return CandidateSample() if is_leading else None

    async def withdraw(self, model: str) -> None:
        """Return to the installed code."""
        if self.is_on and self._packages.running:
            self.on_restart()

    async def sample(self, model: str) -> ServingSample:
        """It lives, or this would not be asked."""
        return ServingSample(is_ready=True)

    def _require_hope(self, bundle_id: str) -> None:
        if self._packages.is_given_up(bundle_id):
            raise DeviceError(
                f"package {bundle_id[:12]} was started {STARTS_MOST} times and did not live",
                hint="see the agent's own log",
            )


def wheel_version(path: Path) -> str:
    """The version of a wheel of this software.

    Raises:
        TrustError: it is none.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
            content = _content(wheel, wheel.getinfo(names[0])) if names else b""
    except (zipfile.BadZipFile, OSError) as error:
        raise TrustError(f"{path.name} is no wheel: {error}") from error
    head = BytesHeaderParser().parsebytes(content)
    if str(head["Name"]).lower() != DISTRIBUTION:
        raise TrustError(f"{path.name} is a wheel of {head['Name']!r}, expected {DISTRIBUTION!r}")
    return str(head["Version"])


def _extract(wheel: Path, folder: Path) -> None:
    left = UNPACKED_LIMIT_BYTES
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename)
            left -= member.file_size
            if name.is_absolute() or ".." in name.parts or left < 0:
                raise TrustError(f"the wheel's member {member.filename[:80]!r} may not be unpacked")
            if not member.is_dir():
                _fs.write_atomic(folder / name, _content(archive, member))


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's content, of the two methods that wheels are packed with."""
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise TrustError(
            f"the wheel's member {member.filename[:80]!r} is packed by method "
            f"{member.compress_type}, expected stored or deflated"
        )
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise TrustError(
            f"the wheel's member {member.filename[:80]!r} cannot be unpacked: {error}"
        ) from error


def _nothing() -> None:
    return
