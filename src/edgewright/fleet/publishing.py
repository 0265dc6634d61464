"""From a bundle's file to an offer of the fleet, for publishers at its disk and far from it.

Where the fleet keeps an image repository, publishing is two steps that may be one: the bundle is
staged as a target for the keepers to sign, and when the last signature is there the fleet offers
it. Without a repository the bundle's own signatures decide, by the keys that the fleet trusts. What
arrives over a network waits in a folder of its own and is verified like any other file; who sends
it is believed nothing.
"""

import contextlib
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

import msgspec

from edgewright import _fs
from edgewright.bundle import open_bundle
from edgewright.clock import Clock
from edgewright.errors import InputError, ResourceError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.recipients import Recipients
from edgewright.fleet.registry import Registry, Release
from edgewright.fleet.state import State
from edgewright.trust import Signer
from edgewright.trust.release import target_name
from edgewright.trust.repository import Lack

ARRIVING_LIMIT_BYTES = 4 << 30
ARRIVING_AT_ONCE = 8
"""In all; of one person it is one, so that nobody can keep others from publishing."""
SPARED_BYTES = 64 << 20
"""What an arriving file leaves of the disk for everything else."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What came of publishing: a release, or whose signatures it waits for."""

    target: str
    bundle_id: str
    is_target: bool = False
    release: Release | None = None
    lacks: tuple[Lack, ...] = ()


class Image(Protocol):
    """The image repository of a fleet, as publishing needs it."""

    @property
    def is_there(self) -> bool:
        """Whether the fleet keeps one."""

    def promised(
        self, file: Path, name: str, bundle_id: str, signers: Sequence[Signer]
    ) -> tuple[Lack, ...]:
        """Stage a target unless it is there, sign with what was given; what is missing then.

        Raises:
            InputError: the name is promised as another file, or a key may sign nothing here.
        """


class Publishing(OfProject):
    """Publishes for one project; `arrivals` is where files wait that come over a network."""

    def __init__(
        self,
        registry: Registry,
        recipients: Recipients,
        *,
        state: State,
        clock: Clock,
        arrivals: Path,
        image: Image | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._registry = registry
        self._recipients = recipients
        self._state = state
        self._clock = clock
        self._arrivals = arrivals
        self._image = image
        self._project = project
        self._turn = threading.Lock()
        self._sending: dict[str, int] = {}
        """Bytes that people announced."""
        self._door = threading.Lock()

    def within(self, project: str) -> Self:
        """The same for another project; they take turns with each other."""
        other = super().within(project)
        other._registry = self._registry.within(project)  # noqa: SLF001 - of the same class
        other._recipients = self._recipients.within(project)  # noqa: SLF001 - as above
        return other

    def publish(self, file: Path, *, by: str, signers: Sequence[Signer] = ()) -> Publication:
        """Verify a bundle file, have it promised by the image repository, and offer it.

        Raises:
            TrustError: a byte is wrong, it is encrypted to others than this fleet, too few trusted
            keys signed it, or the version is promised as another file.
            InputError: no such file, its version belongs to another bundle, or a key may sign
            nothing here.
        """
        bundle = open_bundle(file, content_key=self._recipients.content_key(file))
        name = target_name(bundle.manifest.name, bundle.manifest.version)
        with self._turn:
            image = self._image if self._image is not None and self._image.is_there else None
            lacks = image.promised(file, name, bundle.id, signers) if image else ()
            if lacks:
                self._note_staged(name, bundle.id, by)
            return Publication(
                target=name,
                bundle_id=bundle.id,
                is_target=image is not None,
                release=None if lacks else self._registry.publish(file, by=by),
                lacks=lacks,
            )

    @contextlib.contextmanager
    def arriving(self, size_bytes: int, *, by: str) -> Iterator[Path]:
        """A place for a file that somebody sends over a network; it is gone when the block ends.

        Raises:
            InputError: it is empty or too large.
            ResourceError: this person sends one already, too many arrive, or the disk has no place
                for it.
        """
        if not 0 < size_bytes <= ARRIVING_LIMIT_BYTES:
            raise InputError(
                f"a bundle of {size_bytes} bytes: expected 1 to {ARRIVING_LIMIT_BYTES}",
                hint="send the .ewb file itself, with its length (content-length)",
            )
        self._admit(by, size_bytes)
        try:
            place = self._arrivals / secrets.token_hex(16)
            try:
                yield place
            finally:
                place.unlink(missing_ok=True)
        finally:
            del self._sending[by]

    def _admit(self, by: str, size_bytes: int) -> None:
        with self._door:
            if by in self._sending:
                raise ResourceError(
                    f"a bundle of {by} arrives already, one at a time is taken",
                    hint="wait until it is there, or send it again a minute after it was cut off",
                )
            if len(self._sending) >= ARRIVING_AT_ONCE:
                raise ResourceError(
                    f"{ARRIVING_AT_ONCE} bundles arrive already", hint="try again in a minute"
                )
            free = shutil.disk_usage(_fs.make_dirs(self._arrivals)).free
            if free - SPARED_BYTES < size_bytes + sum(self._sending.values()):
                raise ResourceError(
                    f"{size_bytes} bytes of a bundle do not fit the fleet's disk ({free} free, "
                    "less what arrives now)",
                    hint="make room on the fleet's machine",
                )
            self._sending[by] = size_bytes

    def _note_staged(self, name: str, bundle_id: str, by: str) -> None:
        deed = Deed(
            at_s=self._clock.wall_s(),
            who=by,
            what="release staged",
            subject=name,
            detail=bundle_id,
            project=self._project,
        )
        with self._state.write() as connection:
            write_down(connection, deed)

    def forget_arrivals(self) -> None:
        """Delete what a power cut left of files that arrived; for a server at its start."""
        _fs.remove_tree(self._arrivals)
