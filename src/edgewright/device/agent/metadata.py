"""Fetches trust metadata and targets and keeps them: the shell around `trust.metadata`.

A folder holds the newest metadata that was trusted, each file as it came (`root.json`,
`timestamp.json`, `snapshot.json`, `targets.json`, delegated roles by their percent-encoded names),
and `trusted-time`, the latest time at which all of it was good. A file is written only after it was
verified, by rename, so every stop can be the last. One process at a time writes a folder.

Everything that is read from outside has a limit, and the limit is held here, not by the fetcher.

    >>> import asyncio, pathlib, tempfile
    >>> from edgewright.testing.tuf_repository import TufRepository
    >>> repository = TufRepository()
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> store = MetadataStore(folder, repository)
    >>> store.plant(repository.file("1.root.json"))
    >>> trusted = asyncio.run(store.refresh(wall_s=repository.now.timestamp()))
    >>> sorted(path.name for path in folder.iterdir())
    ['root.json', 'snapshot.json', 'targets.json', 'timestamp.json', 'trusted-time']
"""

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from edgewright import _fs
from edgewright.device.agent.ports import Fetcher
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.trust.metadata import (
    TOP,
    MetadataLimits,
    RolePath,
    TrustedSet,
    Wanted,
    metadata_file_name,
)
from edgewright.trust.target import ContentCheck, Target

TIME_FILE = "trusted-time"
TIME_STEP_S = 3600
TIME_LIMIT_BYTES = 32
SYNC_BYTES = 1 << 20
PART_PREFIX = ".part-"

_KEPT_ROLES = ("timestamp", "snapshot", "targets")
_EPOCH = datetime.fromtimestamp(0, UTC)

_log = logging.getLogger(__name__)


class MetadataStore:
    """The trusted metadata of one repository, in one folder. `reader` is this device, where the
    repository speaks to each device by name.
    """

    def __init__(
        self,
        folder: Path,
        fetcher: Fetcher,
        *,
        limits: MetadataLimits | None = None,
        reader: str = "",
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._fetcher = fetcher
        self._limits = limits or MetadataLimits()

    def plant(self, root: bytes) -> None:
        """Begin to trust a repository, by a root that came by a trusted way.

        Raises:
            TrustError: it is no root, or not signed by its own keys.
            InputError: the folder trusts a root already.
        """
        path = self._path("root")
        TrustedSet.from_root(root, now=_EPOCH)
        if path.exists():
            raise InputError(f"{path} exists already", hint="choose an empty folder")
        _fs.write_atomic(path, root)

    async def refresh(self, *, wall_s: float, floor_s: float = 0.0) -> TrustedSet:
        """Bring all top-level metadata up to date. Expiry is judged at the latest of this machine's
        time, `floor_s` and the time of the last good refresh.

        Raises:
            TrustError: what the repository serves may not be believed.
            TransportError: it did not answer, or lacks a file.
            InputError: no root was planted.
        """
        _fs.remove_leftovers(self._folder)
        trusted = await self._with_newest_root(max(wall_s, floor_s))
        trusted = await self._with_timestamp(trusted)
        trusted = await self._with_snapshot(trusted)
        trusted = await self._with_targets(trusted, TOP)
        self._prune(trusted)
        self._keep_time(trusted)
        return trusted

    async def find(self, trusted: TrustedSet, name: str) -> tuple[TrustedSet, Target]:
        """What the repository promises about a target, with the roles that the search took in.

        Raises:
            TrustError: no role lists it, or one on the way may not be believed.
            TransportError: the repository did not answer, or lacks a file.
        """
        while isinstance(found := trusted.find(name), Wanted):
            trusted = await self._with_targets(trusted, found.path)
        return trusted, found

    @property
    def is_planted(self) -> bool:
        """Whether a root was planted here."""
        return self._path("root").exists()

    def kept(self, *, wall_s: float | None, floor_s: float = 0.0) -> TrustedSet:
        """What was trusted at the last good refresh, from the disk alone; judged at this time, or
        with `wall_s` None whether it has expired since or not.

        Raises:
            TrustError: nothing is kept, it was damaged, or it has expired.
        """
        root, timestamp, snapshot, targets = map(self._kept_part, ("root", *_KEPT_ROLES))
        trusted = self._trusted(root, _EPOCH)
        if wall_s is not None:
            known_s = self._kept_time(trusted.knowing_timestamp(timestamp)).timestamp()
            now = datetime.fromtimestamp(max(wall_s, floor_s, known_s), UTC)
            trusted = trusted.at(now)
        trusted = trusted.with_timestamp(timestamp).with_snapshot(snapshot)
        return trusted.with_targets(targets, TOP)

    def expiries(self) -> dict[str, datetime]:
        """When each top-level role expires that was trusted; no more than can be read of them.

        Raises:
            TrustError: not even the root can be read.
        """
        root = TrustedSet.from_root(self._kept_part("root"), now=_EPOCH).root
        found = {"root": root.expires}
        with contextlib.suppress(TrustError):
            trusted = self.kept(wall_s=None)
            for signed in (trusted.timestamp, trusted.snapshot, trusted.targets[TOP]):
                if signed is not None:
                    found[signed.type] = signed.expires
        return found

    def find_kept(self, trusted: TrustedSet, name: str) -> Target:
        """What the kept metadata promises about a target.

        Raises:
            TrustError: no role lists it, or one on the way is not kept.
        """
        while isinstance(found := trusted.find(name), Wanted):
            trusted = trusted.with_targets(self._kept_part(found.role), found.path)
        return found

    def _trusted(self, root: bytes, now: datetime) -> TrustedSet:
        return TrustedSet.from_root(root, now=now, limits=self._limits, reader=self._reader)

    def _kept_part(self, role: str) -> bytes:
        content = self._kept(role, self._limits.targets_bytes)
        if content is None:
            raise TrustError(f"{self._path(role)}: nothing was trusted yet", hint="update it first")
        return content

    async def _with_newest_root(self, now_s: float) -> TrustedSet:
        kept = self._kept("root", self._limits.root_bytes)
        if kept is None:
            raise InputError(f"{self._path('root')}: no root was planted", hint="run: init ROOT")
        trusted = self._trusted(kept, datetime.fromtimestamp(now_s, UTC))
        for _ in range(self._limits.root_rotations):
            content = await self._fetched(trusted.wanted_root)
            if content is None:
                return trusted
            trusted = trusted.with_root(content)
            self._keep("root", content)
        raise TrustError(f"root: expected at most {self._limits.root_rotations} new ones at once")

    async def _with_timestamp(self, trusted: TrustedSet) -> TrustedSet:
        if kept := self._kept("timestamp", self._limits.timestamp_bytes):
            with _forgotten("timestamp"):
                trusted = trusted.knowing_timestamp(kept)
        trusted = trusted.at(max(trusted.now, self._kept_time(trusted)))
        content = await self._required(trusted.wanted_timestamp)
        trusted = trusted.with_timestamp(content)
        if trusted.timestamp is not trusted.known_timestamp:
            self._keep("timestamp", content)
        return trusted

    async def _with_snapshot(self, trusted: TrustedSet) -> TrustedSet:
        if kept := self._kept("snapshot", self._limits.snapshot_bytes):
            with _forgotten("snapshot"):
                trusted = trusted.knowing_snapshot(kept)
        if trusted.snapshot is None:
            content = await self._required(trusted.wanted_snapshot)
            trusted = trusted.with_snapshot(content)
            self._keep("snapshot", content)
        return trusted

    async def _with_targets(self, trusted: TrustedSet, path: RolePath) -> TrustedSet:
        wanted = trusted.wanted_targets(path)
        if kept := self._kept(wanted.role, self._limits.targets_bytes):
            with _forgotten(wanted.role):
                return trusted.with_targets(kept, path)
        content = await self._required(wanted)
        trusted = trusted.with_targets(content, path)
        self._keep(wanted.role, content)
        return trusted

    async def _required(self, wanted: Wanted) -> bytes:
        content = await self._fetched(wanted)
        if content is None:
            raise TransportError(
                f"{wanted.role}: the repository has no {wanted.file}",
                hint="it may be in the middle of a publication; try again later",
            )
        return content

    async def _fetched(self, wanted: Wanted) -> bytes | None:
        content = bytearray()
        answer = await self._fetcher.open(wanted.file, limit_bytes=wanted.limit_bytes)
        if answer is None:
            return None
        async with _closing(answer) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > wanted.limit_bytes:
                    raise TrustError(
                        f"{wanted.role}: expected at most {wanted.limit_bytes} bytes, got more"
                    )
        return bytes(content)

    def _prune(self, trusted: TrustedSet) -> None:
        """Drop metadata of roles that the repository has no more."""
        if trusted.snapshot is None:
            return
        roles = (name.removesuffix(".json") for name in trusted.snapshot.meta)
        kept = {metadata_file_name(role) for role in (*roles, "root", "timestamp", "snapshot")}
        for path in self._folder.glob("*.json"):
            if path.name not in kept:
                _fs.remove_tree(path)

    def _kept_time(self, trusted: TrustedSet) -> datetime:
        """The time of the last good refresh. All was fresh then, so one after the known timestamp's
        expiry was never written by us: a flipped bit must not end all updates.
        """
        nothing = _EPOCH
        path = self._folder / TIME_FILE
        if trusted.known_timestamp is None or not path.exists():
            return nothing
        text = _fs.read_limited(path, limit_bytes=TIME_LIMIT_BYTES)
        if not text.strip().isdigit():
            return nothing
        kept_s = min(int(text), int(trusted.known_timestamp.expires.timestamp()))
        kept = datetime.fromtimestamp(kept_s, UTC)
        return nothing if trusted.known_timestamp.is_expired(kept) else kept

    def _keep_time(self, trusted: TrustedSet) -> None:
        """Written when it is worth a write: at most once an hour."""
        if trusted.now.timestamp() >= self._kept_time(trusted).timestamp() + TIME_STEP_S:
            text = f"{int(trusted.now.timestamp())}\n"
            _fs.write_atomic(self._folder / TIME_FILE, text.encode())

    def _path(self, role: str) -> Path:
        return self._folder / metadata_file_name(role)

    def _kept(self, role: str, limit_bytes: int) -> bytes | None:
        path = self._path(role)
        if not path.exists():
            return None
        try:
            return _fs.read_limited(path, limit_bytes=limit_bytes)
        except InputError as error:
            _log.warning("role=%s event=forgotten reason=%s", role, error)
            return None

    def _keep(self, role: str, content: bytes) -> None:
        _fs.write_atomic(self._path(role), content)


async def fetch_target(
    trusted: TrustedSet, target: Target, *, fetcher: Fetcher, folder: Path
) -> Path:
    """Bring a target into a folder; nothing is fetched when it lies there whole. What arrived
    before a cut is used again, and one partial file at most stays behind.

    Raises:
        TrustError: what arrived is not what was promised; nothing of it stays.
        TransportError: cut short, or the repository lacks it.
    """
    path, part = folder / target.file_name, folder / f"{PART_PREFIX}{target.digest[:32]}"
    _drop_parts(folder, but=part)
    if _is_whole(path, target):
        return path
    url_path = target.url_path(has_prefix=bool(trusted.root.consistent_snapshot))
    is_resumed = part.exists()
    try:
        await _complete(part, target, fetcher, url_path)
    except TrustError:
        _fs.remove_tree(part)
        if not is_resumed:
            raise
        _log.warning("target=%s event=begun-anew reason=the kept part was not its", target.name)
        return await fetch_target(trusted, target, fetcher=fetcher, folder=folder)
    _fs.move(part, path)
    return path


async def _complete(part: Path, target: Target, fetcher: Fetcher, url_path: str) -> None:
    """Append what is missing and check all of it, synced once a megabyte so that a cut costs no
    more.
    """
    check = _check_of(part, target)
    _append(part, [])
    if left := target.length_bytes - check.have_bytes:
        answer = await fetcher.open(url_path, offset=check.have_bytes, limit_bytes=left)
        if answer is None:
            raise TransportError(f"target {target.name}: the repository has no {url_path}")
        await _take(part, check, answer)
    if check.have_bytes < target.length_bytes:
        raise TransportError(
            f"target {target.name}: cut short after {check.have_bytes} of {target.length_bytes} "
            "bytes",
            hint="run it again: it goes on where it was cut",
        )
    check.finish()


async def _take(part: Path, check: ContentCheck, answer: AsyncIterator[bytes]) -> None:
    """Write what arrives, even when it ends badly: the next try goes on there."""
    pending: list[bytes] = []
    try:
        async with _closing(answer) as chunks:
            async for chunk in chunks:
                check.update(chunk)
                pending.append(chunk)
                if sum(map(len, pending)) >= SYNC_BYTES:
                    _append(part, pending)
    finally:
        _append(part, pending)


def _append(part: Path, pending: list[bytes]) -> None:
    with _fs.appended_file(part) as file:
        file.write(b"".join(pending))
    pending.clear()


def _check_of(path: Path, target: Target) -> ContentCheck:
    """The check, fed with what lies on disk already."""
    check = ContentCheck(target)
    if path.exists():
        with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
            while chunk := file.read(SYNC_BYTES):
                check.update(chunk)
    return check


def _is_whole(path: Path, target: Target) -> bool:
    if not path.exists():
        return False
    try:
        _check_of(path, target).finish()
    except TrustError:
        return False
    return True


def _drop_parts(folder: Path, *, but: Path) -> None:
    for path in folder.glob(f"{PART_PREFIX}*"):
        if path != but:
            _fs.remove_tree(path)


@contextlib.contextmanager
def _forgotten(role: str) -> Iterator[None]:
    """What was kept and does not fit any more is as good as absent: newer keys or versions came."""
    try:
        yield
    except TrustError as error:
        _log.info("role=%s event=forgotten reason=%s", role, error)


def _closing(chunks: AsyncIterator[bytes]) -> "contextlib.aclosing[AsyncGenerator[bytes, None]]":
    """Generators end at once, not when they are collected; a fetcher's iterator is one."""
    return contextlib.aclosing(cast("AsyncGenerator[bytes, None]", chunks))
