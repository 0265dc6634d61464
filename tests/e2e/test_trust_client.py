"""`edgewright trust client` in real processes, against a repository served over HTTP."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgewright.clock import SystemClock
from edgewright.testing.tuf_repository import TufRepository
from edgewright.transports.http1 import Request, Response, Server, start_server

CONTENT = bytes(range(256)) * 5000
TIMEOUT_S = 60


class Site:
    """A repository behind a server, and a client's folders."""

    def __init__(self, server: Server, repository: TufRepository, folder: Path) -> None:
        self.repository = repository
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self._address = server.address
        self._root = folder / "root.json"
        self._root.write_bytes(repository.file("1.root.json"))

    async def client(self, *words: str) -> tuple[int, str]:
        """Exit code and stderr of one command."""
        command = [
            *(sys.executable, "-m", "edgewright", "trust", "client"),
            *("--metadata-dir", str(self.metadata)),
            *("--metadata-url", f"{self._address}/site/metadata/"),
            *("--target-base-url", f"{self._address}/site/targets"),
            *("--target-dir", str(self.targets)),
            *words,
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(TIMEOUT_S):
            _, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, errors.decode()

    async def init(self) -> tuple[int, str]:
        return await self.client("init", str(self._root))


def fresh_repository() -> TufRepository:
    repository = TufRepository()
    repository.now = datetime.now(UTC).replace(microsecond=0)
    repository.expires = repository.now + timedelta(days=1)
    for metadata in repository.roles.values():
        metadata.signed.expires = repository.expires
    repository.add_target("har/a b.ewb", CONTENT)
    repository.publish("root", "targets", "snapshot", "timestamp")
    return repository


async def served(repository: TufRepository, request: Request) -> Response:
    for prefix in ("/site/metadata/", "/site/targets/"):
        name = request.path.removeprefix(prefix)
        found = repository.files.get(name) or repository.files.get(name.replace(" ", "%20"))
        if name != request.path and found:
            return Response(status=200, body=found)
    return Response(status=404, body=b"no such file")


@pytest.fixture
def on_site(tmp_path: Path) -> Callable[[Callable[[Site], Coroutine[Any, Any, None]]], None]:
    """Run a story with a site that is up while it lasts."""

    async def told(story: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
        repository = fresh_repository()
        server = await start_server(
            lambda request: served(repository, request), clock=SystemClock()
        )
        try:
            await story(Site(server, repository, tmp_path))
        finally:
            await server.close()

    return lambda story: asyncio.run(told(story))


def test_the_client_follows_and_downloads(on_site: Callable[[Any], None]) -> None:
    async def story(site: Site) -> None:
        assert await site.init() == (0, "")
        assert await site.client("refresh") == (0, "")
        assert await site.client("--target-name", "har/a b.ewb", "download") == (0, "")
        assert (site.targets / "har%2Fa%20b.ewb").read_bytes() == CONTENT

    on_site(story)


def test_every_failure_exits_with_one_and_says_why(on_site: Callable[[Any], None]) -> None:
    async def story(site: Site) -> None:
        code, errors = await site.client("refresh")
        assert code == 1
        assert "no root was planted" in errors
        await site.init()
        site.repository.files["timestamp.json"] = b" " * 1_000_000
        code, errors = await site.client("refresh")
        assert code == 1
        assert "timestamp: expected at most 16384 bytes, got more" in errors
        code, errors = await site.client("download")
        assert code == 2
        assert "--target-name is needed" in errors

    on_site(story)
