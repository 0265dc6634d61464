"""The trust metadata that a fleet serves: the image repository, and its own word as the director.

The image repository is a folder that its keepers sign offline (`edgewright trust`); here it is only
served, and read as a device would read it. The director is the fleet's own online key: for each
device it signs which released files the device shall have. It orders nothing that the image
repository does not list, so that a stolen fleet can choose among releases and never make one.

    HOME/image/metadata/     what the keepers published
    HOME/director/           N.root.json of the director; `tick`, below which no version falls;
                             `ahead`, which a restored fleet adds to every version
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Row, select

from edgewright import _fs
from edgewright.bundle import Bundle
from edgewright.clock import Clock
from edgewright.errors import ConflictError, InputError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.state import State, schema
from edgewright.trust import Signer
from edgewright.trust.director import ORDER_DAYS, DirectorOrder, directed, founded_root
from edgewright.trust.director import renewed_root as next_root
from edgewright.trust.metadata import TOP, TrustedSet, Wanted
from edgewright.trust.release import Words, released_bundle, target_name
from edgewright.trust.target import Target

HOUR_S = 3600
TICK_S = 60
FILE_LIMIT_BYTES = 5_000_000
KEPT_DEVICES = 1024
LOST_AT_MOST = 1_000_000
"""More versions than a fleet can have given to a device since the backup that it is restored from:
a device refuses a version below one that it has seen.
"""

_METADATA_FILE = re.compile(r"[A-Za-z0-9%_~-][A-Za-z0-9.%_~-]{0,200}\.json")
_TIMESTAMP = "timestamp.json"

_log = logging.getLogger(__name__)


class Release(Protocol):
    """What the director must know of a release."""

    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def bundle_id(self) -> str: ...
    @property
    def file_sha256(self) -> str: ...
    @property
    def file_size_bytes(self) -> int: ...


class WrapKey(Protocol):
    """Gives an encrypted release's content key for one device, in hex; "" when there is none."""

    def __call__(
        self, connection: Connection, device: str, *, bundle_id: str, file_sha256: str
    ) -> str: ...


class Director:
    """The two repositories of one fleet. `signer` gives its online key; `tend` may renew what that
    key signs in the image repository, and is called now and then; `wrap` gives an encrypted
    release's content key for one device.
    """

    def __init__(
        self,
        state: State,
        home: Path,
        *,
        clock: Clock,
        signer: Callable[[], Signer],
        tend: Callable[[], None],
        wrap: WrapKey = lambda *_, **__: "",
    ) -> None:
        self._state = state
        self._image = home / "image" / "metadata"
        self._folder = home / "director"
        self._clock = clock
        self._signer = signer
        self._tend = tend
        self._wrap = wrap
        self._tended_hour = 0
        self._published: tuple[tuple[int, int], TrustedSet] | None = None
        self._kept: OrderedDict[str, tuple[int, dict[str, bytes]]] = OrderedDict()

    @property
    def is_on(self) -> bool:
        """Whether this fleet keeps an image repository whose metadata was published."""
        return (self._image / _TIMESTAMP).exists()

    def roots(self) -> tuple[bytes, bytes]:
        """The newest root of both, for a device that enrols: the image's, the director's."""
        return self._newest(self._image), self._director_root()

    def image_file(self, name: str) -> bytes | None:
        """A published metadata file of the image repository; None when there is none."""
        if name == _TIMESTAMP:
            self._look_after()
        return self._file(self._image, name)

    def director_file(self, device: str, name: str) -> bytes | None:
        """A metadata file of the director for this device; None when there is none."""
        if name.endswith(".root.json"):
            self._director_root()
            return self._file(self._folder, name)
        with self._state.read() as connection:
            return self._orders_file(connection, device, name)

    def export(
        self, release: Release, device: str, *, days: float, by: str, project: str
    ) -> dict[str, bytes]:
        """All metadata that one device needs to take a release, by member name of a parcel. Making
        it is an order to that device, and written down as one; `days` is how long it holds on the
        way.

        Raises:
            ConflictError: the release was taken back.
        """
        self.require_offered(release)
        files = {f"image/{path.name}": self._read(path) for path in self._image.glob("*.json")}
        if device:
            self._director_root()
            roots = self._folder.glob("*.root.json")
            files |= {f"director/{path.name}": self._read(path) for path in roots}
            deed = Deed(
                at_s=self._clock.wall_s(),
                who=by,
                what="release exported",
                subject=device,
                detail=f"{release.model}@{release.version} for {days:g} days",
                project=project,
            )
            with self._state.write() as connection:
                version = self._version(connection, device, step=1)
                made = self._directed(connection, device, version, days=days, also=release)
                write_down(connection, deed)
            files |= {f"director/{name}": content for name, content in made.items()}
        return files

    def require_offered(self, release: Release) -> None:
        """Pass while devices can take a release: the image repository lists it, or there is none.

        Raises:
            ConflictError: it was taken back.
            TrustError: the repository itself is not to be believed now, for devices neither.
        """
        if not self.is_on:
            return
        self._look_after()
        if not self._lists(self._image_set(), release):
            raise ConflictError(
                f"{release.model}@{release.version} was taken back: the image repository lists "
                "it no more, and devices refuse it",
                hint="choose another release",
            )

    def has_taken_back(self, release: Release) -> bool:
        """Whether the image repository, as it was published last, lists a release no more. Where
        it cannot be read, nothing was taken back by it.
        """
        if not self.is_on:
            return False
        try:
            return not self._lists(self._published_set(), release)
        except (TrustError, InputError) as error:
            _log.warning("nobody knows whether releases were taken back: %s", error)
            return False

    def require_released(self, bundle: Bundle, *, sha256: str, size_bytes: int) -> None:
        """Pass when the image repository lists exactly this file.

        Raises:
            TrustError: it lists another one, or none.
        """
        manifest = bundle.manifest
        target = self._released(self._image_set(), target_name(manifest.name, manifest.version))
        found = (target.hashes.get("sha256"), target.length_bytes, released_bundle(target))
        if found != (sha256, size_bytes, bundle.id):
            raise TrustError(
                f"{target.name} is released as another file ({target.digest[:12]}...)",
                hint="build the bundle again under a new version",
            )

    def _orders_file(self, connection: Connection, device: str, name: str) -> bytes | None:
        version = self._version(connection, device)
        kept_version, files = self._kept.get(device, (0, {}))
        if kept_version != version:
            files = self._directed(connection, device, version, days=ORDER_DAYS)
            self._kept[device] = version, files
            while len(self._kept) > KEPT_DEVICES:
                self._kept.popitem(last=False)
        return files.get(name)

    def _directed(
        self,
        connection: Connection,
        device: str,
        version: int,
        *,
        days: float,
        also: Release | None = None,
    ) -> dict[str, bytes]:
        releases, assigned, devices = schema.releases, schema.assignments, schema.devices
        query = (
            select(releases)
            .join(assigned, assigned.c.bundle_id == releases.c.bundle_id)
            .join(
                devices,
                (devices.c.name == assigned.c.device) & (devices.c.project == releases.c.project),
            )
            .where(assigned.c.device == device)
        )
        wanted: dict[str, Release | Row[Any]] = {
            row.model: row for row in connection.execute(query)
        }
        if also is not None:
            wanted[also.model] = also
        orders = [
            DirectorOrder(
                name=target_name(release.model, release.version),
                length_bytes=release.file_size_bytes,
                sha256=release.file_sha256,
                words=msgspec.json.encode(
                    Words(
                        bundle_id=release.bundle_id,
                        wrapped_key=self._wrap(
                            connection,
                            device,
                            bundle_id=release.bundle_id,
                            file_sha256=release.file_sha256,
                        ),
                    )
                ),
            )
            for release in wanted.values()
        ]
        return directed(
            orders,
            device=device,
            version=version,
            now=self._now(),
            signer=self._signer(),
            days=days,
        )

    def _version(self, connection: Connection, device: str, *, step: int = 0) -> int:
        """Rises with every order for the device, every export and every minute, so that what
        expires is renewed; neither a clock that falls back nor a restored backup lets it fall.
        """
        devices = schema.devices
        query = select(devices.c.revision).where(devices.c.name == device)
        return (
            int(connection.scalar(query) or 0)
            + self._tick(step)
            + _number_in(self._folder / "ahead")
        )

    def _tick(self, step: int) -> int:
        path = self._folder / "tick"
        known = _number_in(path)
        tick = max(int(self._clock.wall_s() // TICK_S), known + step)
        if tick > known:
            _fs.write_atomic(path, b"%d\n" % tick)
        return tick

    def _look_after(self) -> None:
        hour = int(self._clock.wall_s() // HOUR_S)
        if hour != self._tended_hour:
            self._tended_hour = hour
            self._tend()

    def _director_root(self) -> bytes:
        """The newest root, made when there is none and renewed in time."""
        if not any(self._folder.glob("*.root.json")):
            first = founded_root(self._signer(), now=self._now())
            _fs.write_atomic(self._folder / "1.root.json", first)
        root = self._newest(self._folder)
        renewed = next_root(root, self._signer(), now=self._now())
        if renewed is None:
            return root
        number = max(map(_number, self._folder.glob("*.root.json"))) + 1
        _fs.write_atomic(self._folder / f"{number}.root.json", renewed)
        return renewed

    def _image_set(self) -> TrustedSet:
        now = self._now()
        trusted = TrustedSet.from_root(self._newest(self._image), now=now)
        trusted = trusted.with_timestamp(self._required(trusted.wanted_timestamp))
        trusted = trusted.with_snapshot(self._required(trusted.wanted_snapshot))
        return trusted.with_targets(self._required(trusted.wanted_targets(TOP)), TOP)

    def _published_set(self) -> TrustedSet:
        """What was published last, read once; whether it has expired since or not."""
        stat = (self._image / _TIMESTAMP).stat()
        known = (stat.st_mtime_ns, stat.st_ino)
        if self._published is None or self._published[0] != known:
            self._published = known, self._image_set()
        return self._published[1]

    def _lists(self, trusted: TrustedSet, release: Release) -> bool:
        try:
            target = self._released(trusted, target_name(release.model, release.version))
            listed = (target.hashes.get("sha256"), target.length_bytes, released_bundle(target))
        except TrustError:
            return False
        return listed == (release.file_sha256, release.file_size_bytes, release.bundle_id)

    def _released(self, trusted: TrustedSet, name: str) -> Target:
        while isinstance(found := trusted.find(name), Wanted):
            trusted = trusted.with_targets(self._required(found), found.path)
        return found

    def _required(self, wanted: Wanted) -> bytes:
        content = self._file(self._image, wanted.file)
        if content is None:
            raise InputError(f"{self._image}: {wanted.file} is missing", hint="publish it again")
        return content

    def _newest(self, folder: Path) -> bytes:
        roots = sorted(folder.glob("*.root.json"), key=_number)
        if not roots:
            raise InputError(f"{folder} has no root yet", hint="make one: edgewright trust init")
        return self._read(roots[-1])

    def _file(self, folder: Path, name: str) -> bytes | None:
        path = folder / name
        if not _METADATA_FILE.fullmatch(name) or not path.is_file():
            return None
        return self._read(path)

    def _read(self, path: Path) -> bytes:
        return _fs.read_limited(path, limit_bytes=FILE_LIMIT_BYTES)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock.wall_s()), UTC)


def go_ahead(home: Path) -> None:
    """Let every version of a fleet that was made of a backup be above all that it gave before."""
    path = home / "director" / "ahead"
    path.parent.mkdir(exist_ok=True)
    _fs.write_atomic(path, b"%d\n" % (_number_in(path) + LOST_AT_MOST))


def _number_in(path: Path) -> int:
    if not path.exists():
        return 0
    text = _fs.read_limited(path, limit_bytes=32)
    return int(text) if text.strip().isdigit() else 0


def _number(root: Path) -> int:
    number = root.name.partition(".")[0]
    return int(number) if number.isdigit() else 0
