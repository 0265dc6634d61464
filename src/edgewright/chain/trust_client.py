"""A TUF client by hand: follows a repository over HTTP and brings targets from it.

The agent does the same by itself; this is for people, for scripts, and for the public conformance
suite of TUF, whose client protocol `edgewright trust client` speaks.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec

from edgewright._fs import make_dirs, read_limited
from edgewright.clock import SystemClock
from edgewright.device.agent.metadata import MetadataStore, fetch_target
from edgewright.errors import InputError
from edgewright.transports.http1 import Client
from edgewright.trust.metadata import MetadataLimits, TrustedSet

SLACK_BYTES = 1 << 20
"""How far past a limit the transport reads on, so that the one who knows what is read refuses it
and names it."""


class HttpFetcher:
    """Files below one URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._client = Client(f"{parts.scheme}://{parts.netloc}")
        self._folder = parts.path.rstrip("/")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        """See `edgewright.device.agent.metadata.Fetcher`. A refusal (4xx) means that there is no
        such file, as a static server says it in more ways than one.
        """
        chunks = self._client.download(
            f"{self._folder}/{path}", offset=offset, limit_bytes=limit_bytes + SLACK_BYTES
        )
        try:
            first = await anext(chunks, b"")
        except InputError:
            return None
        return _joined(first, chunks)


class DownloadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `trust client download` was asked for."""

    names: Sequence[str]
    base_url: str
    folder: Path


def plant_root(metadata: Path, root: Path) -> None:
    """Begin to trust the repository whose root file this is.

    Raises:
        TrustError: it is no root, or not signed by its own keys.
    """
    limit_bytes = MetadataLimits().root_bytes
    content = read_limited(root, limit_bytes=limit_bytes)
    MetadataStore(make_dirs(metadata), _Nowhere()).plant(content)


def refresh(metadata: Path, url: str) -> dict[str, int]:
    """Bring the kept metadata up to date; the version of each top-level role.

    Raises:
        TrustError: what the repository serves may not be believed.
        TransportError: it did not answer, or lacks a file.
    """
    return asyncio.run(_refreshed(metadata, url)).versions()


def download(metadata: Path, url: str, order: DownloadOrder) -> list[Path]:
    """Refresh, then bring targets one after the other; where they lie now.

    Raises:
        TrustError: a target is not listed, or is not what was promised.
        TransportError: the repository did not answer, or lacks a file.
    """
    return asyncio.run(_downloaded(metadata, url, order))


class _Nowhere:
    """Planting a root asks nobody."""

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        return None


async def _refreshed(metadata: Path, url: str) -> TrustedSet:
    async with HttpFetcher(url) as fetcher:
        return await MetadataStore(metadata, fetcher).refresh(wall_s=SystemClock().wall_s())


async def _downloaded(metadata: Path, url: str, order: DownloadOrder) -> list[Path]:
    make_dirs(order.folder)
    paths: list[Path] = []
    async with HttpFetcher(url) as fetcher, HttpFetcher(order.base_url) as mirror:
        store = MetadataStore(metadata, fetcher)
        trusted = await store.refresh(wall_s=SystemClock().wall_s())
        for name in order.names:
            trusted, target = await store.find(trusted, name)
            paths.append(await fetch_target(trusted, target, fetcher=mirror, folder=order.folder))
    return paths


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
