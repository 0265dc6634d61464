"""An air-gap file as a source: metadata of both repositories and the bundle, without a network."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from edgewright import _fs
from edgewright.bundle.parcel import Parcel, open_parcel
from edgewright.device.agent.ports import Fetcher, Repository
from edgewright.device.agent.progress import Release
from edgewright.errors import TrustError


class AirGap:
    """One `.ewx` file."""

    def __init__(self, path: Path) -> None:
        self._parcel: Parcel = open_parcel(path)

    def release(self) -> Release:
        """What it offers.

        Raises:
            TrustError: its names are not names of models and bundles.
        """
        label, path = self._parcel.label, self._parcel.path
        try:
            return Release(
                model=label.model,
                bundle_id=label.bundle_id,
                version=label.version,
                origin="parcel",
                path=str(path.absolute()),
                file_sha256=label.file_sha256,
                file_size_bytes=label.file_size_bytes,
            )
        except ValueError as error:
            raise TrustError(f"{path.name}: {error}", hint="fetch it again") from error

    def repository(self, name: Repository) -> Fetcher:
        """The metadata files of one of the two repositories.

        Raises:
            TrustError: the file holds none of it.
        """
        if not any(member.startswith(f"{name}/") for member in self._parcel.metadata):
            what = "director's word for this device" if name == "director" else "image repository"
            raise TrustError(
                f"{self._parcel.path.name}: no {what} inside",
                hint="export it for this device: edgewright release export RELEASE --device NAME",
            )
        return _Members(self._parcel.metadata, f"{name}/")

    def extract(self, file: Path) -> None:
        """Write the bundle file out.

        Raises:
            TrustError: it is not the promised one; nothing of it stays.
        """
        digest = hashlib.sha256()
        promised = self._parcel.label.file_sha256
        with _fs.atomic_file(file) as out:
            for chunk in self._parcel.chunks():
                digest.update(chunk)
                out.write(chunk)
            if digest.hexdigest() != promised:
                raise TrustError(
                    f"{self._parcel.path.name}: the bundle hashes to {digest.hexdigest()[:12]}..., "
                    f"promised was {promised[:12]}...",
                    hint="the file was changed; fetch it again",
                )


class _Members:
    """The members of a parcel below a folder."""

    def __init__(self, members: Mapping[str, bytes], folder: str) -> None:
        self._members = members
        self._folder = folder

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        content = self._members.get(f"{self._folder}{path}")
        return None if content is None else _once(content[offset:])


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
