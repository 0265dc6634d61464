"""Trust in what two repositories say: the image repository that a file is released, the director
that this device shall have it (`edgewright.trust.agreement`).

    trust/image/      the image repository's metadata as it was trusted last, its root planted first
    trust/director/   the director's; absent on a device that no fleet directs

A new bundle needs both, fresh. A slot needs only that the newest trusted image metadata still lists
its bundle: expiry hinders no inference, and metadata that the disk damaged revokes nothing, because
the slot's own hashes were compared with the journal's bundle id.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

from edgewright import _fs
from edgewright.bundle import Bundle
from edgewright.clock import BUILT_S
from edgewright.device.agent.metadata import MetadataStore
from edgewright.device.agent.ports import Fetcher, MetadataError, Repository, Source
from edgewright.device.agent.progress import Release
from edgewright.errors import InputError, TrustError
from edgewright.trust.agreement import agreed_target
from edgewright.trust.release import released_bundle, target_name, words_of
from edgewright.trust.target import Target

CHUNK_BYTES = 1 << 20

_log = logging.getLogger(__name__)


class TwoRepositories:
    """The trust folder of one device. The director's word is for it by name."""

    def __init__(self, folder: Path, *, device: str = "", floor_s: float = BUILT_S) -> None:
        self._folder = folder
        self._device = device
        self._floor_s = floor_s
        self._turn = asyncio.Lock()

    def plant(self, image: bytes, director: bytes | None) -> None:
        """Begin to trust these roots, which came by a trusted way.

        Raises:
            TrustError: one is no root, or not signed by its own keys.
            InputError: the folder trusts a root already.
        """
        if director is not None:
            self._store("director").plant(director)
        self._store("image").plant(image)

    @property
    def is_planted(self) -> bool:
        """Whether this device trusts an image repository at all."""
        return self._store("image").is_planted

    @property
    def planted(self) -> tuple[Repository, ...]:
        """The repositories whose roots were planted."""
        names: tuple[Repository, ...] = ("image", "director")
        return tuple(name for name in names if self._store(name).is_planted)

    def expiries(self, name: Repository) -> dict[str, datetime]:
        """When the roles of a repository expire, as this device last saw them.

        Raises:
            TrustError: not even its root can be read.
        """
        return self._store(name).expiries()

    async def approve(self, release: Release, source: Source | None, *, wall_s: float) -> None:
        """See `Trust`. One model's question at a time: two that keep the files of two publications
        would leave a mixture.
        """
        try:
            async with self._turn:
                await self._approve(release, source, wall_s)
        except TrustError as error:
            raise _blameless(error, release) from error

    async def _approve(self, release: Release, source: Source | None, wall_s: float) -> None:
        if source is None:
            self.agreed(release, wall_s=wall_s)
            return
        image = await self._refreshed("image", release, source, wall_s)
        if self._store("director").is_planted:
            director = await self._refreshed("director", release, source, wall_s)
            image = agreed_target(image=image, director=director)
        _require_same(release, image)

    def agreed(self, release: Release, *, wall_s: float) -> Target:
        """The file that both repositories mean, from what is kept; the words are the director's.

        Raises:
            TrustError: what is kept has expired, or does not name it.
        """
        name = target_name(release.model, release.version)
        image = self._kept_target("image", name, wall_s)
        if not self._store("director").is_planted:
            return image
        return agreed_target(image=image, director=self._kept_target("director", name, wall_s))

    def check_file(self, bundle: Bundle, release: Release, *, wall_s: float) -> None:
        target = self._agreed(release, wall_s=wall_s)
        sha256 = _sha256(bundle.path)
        if sha256 != target.hashes.get("sha256") or bundle.id != released_bundle(target):
            raise TrustError(
                f"{bundle.path.name} is another file (sha256 {sha256[:12]}...) than the released "
                f"{target.name} ({target.digest[:12]}...)",
                hint="the fleet or the way to it changed the file",
            )

    def wrapped_key(self, release: Release, *, wall_s: float) -> str:
        return words_of(self._agreed(release, wall_s=wall_s)).wrapped_key

    def check(self, bundle: Bundle) -> None:
        store = self._store("image")
        try:
            trusted = store.kept(wall_s=None)
        except (TrustError, InputError) as error:
            _log.warning("trust metadata cannot be read, nothing is revoked by it: %s", error)
            return
        name = target_name(bundle.manifest.name, bundle.manifest.version)
        try:
            released = released_bundle(store.find_kept(trusted, name))
        except TrustError as error:
            raise TrustError(
                f"{name} is revoked: {error.message}", hint="take a newer release"
            ) from error
        if released != bundle.id:
            raise TrustError(
                f"{name} is bundle {released[:12]} now, not {bundle.id[:12]}",
                hint="take the newer release",
            )

    def _agreed(self, release: Release, *, wall_s: float) -> Target:
        try:
            return self.agreed(release, wall_s=wall_s)
        except TrustError as error:
            raise _blameless(error, release) from error

    def _store(self, name: Repository, fetcher: Fetcher | None = None) -> MetadataStore:
        reader = self._device if name == "director" else ""
        return MetadataStore(self._folder / name, fetcher or _Nowhere(), reader=reader)

    async def _refreshed(
        self, name: Repository, release: Release, source: Source, wall_s: float
    ) -> Target:
        store = self._store(name, source.repository(name))
        with _named(name):
            trusted = await store.refresh(wall_s=wall_s, floor_s=self._floor_s)
            _, target = await store.find(trusted, target_name(release.model, release.version))
        return target

    def _kept_target(self, repository: Repository, name: str, wall_s: float) -> Target:
        store = self._store(repository)
        with _named(repository):
            return store.find_kept(store.kept(wall_s=wall_s, floor_s=self._floor_s), name)


@contextlib.contextmanager
def _named(repository: Repository) -> Iterator[None]:
    """Which of the two it was that may not be believed."""
    try:
        yield
    except TrustError as error:
        who = "the image repository" if repository == "image" else "the director"
        raise TrustError(f"{who}: {error.message}", hint=error.hint) from error


class _Nowhere:
    """What is kept asks nobody."""

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        return None


def _require_same(release: Release, target: Target) -> None:
    """The fleet's wish is only a wish: what counts is what was signed."""
    wished = (release.bundle_id, release.file_sha256, release.file_size_bytes)
    signed = (released_bundle(target), target.hashes.get("sha256"), target.length_bytes)
    if wished != signed:
        raise TrustError(
            f"{target.name}: the order means bundle {release.bundle_id[:12]}, released is "
            f"{signed[0][:12]}",
            hint="ask the fleet's security admin",
        )


def _blameless(error: TrustError, release: Release) -> MetadataError:
    what = f"{release.model} {release.version}: {error.message}"
    return MetadataError(what, hint=error.hint)


def _sha256(path: Path) -> str:
    with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
