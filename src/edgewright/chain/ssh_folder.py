"""A folder of our own on a machine behind SSH, for the files that a command there needs."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from edgewright.errors import DeviceError
from edgewright.fleet.push.remote import ASK_TIMEOUT_S, CHUNK_BYTES
from edgewright.transports.ssh import SshHost

SEND_TIMEOUT_S = 600.0

_HELD_S = 7 * 86400.0

# Holds the folder while its input is open: when we end, or the link does, so does the folder.
_HOLD = """
umask 077
mkdir "${TMPDIR:-/tmp}/$1" || exit 1
trap 'rm -rf "${TMPDIR:-/tmp}/$1"' EXIT HUP INT TERM
cat >/dev/null
"""
_FIND = """
tries=0
until cd "${TMPDIR:-/tmp}/$1" 2>/dev/null; do
  tries=$((tries + 1))
  if [ $tries -gt 20 ]; then exit 1; fi
  sleep 0.2 2>/dev/null || sleep 1
done
pwd -P
"""


class RemoteFolder:
    """A folder there. Files are sent into it; nobody else may read them."""

    def __init__(self, host: SshHost, path: str) -> None:
        self._host = host
        self.path = path

    async def send(self, path: Path, name: str = "") -> str:
        """A file of ours; returns where it lies there.

        Raises:
            DeviceError: it cannot be stored.
            TransportError: the link broke.
        """
        return await self._store(_chunks(path), name or path.name)

    async def send_bytes(self, content: bytes, name: str) -> str:
        """The same for content at hand."""
        return await self._store(_one(content), name)

    async def _store(self, content: AsyncIterator[bytes], name: str) -> str:
        there = f"{self.path}/{name}"
        command = ("sh", "-c", 'cat > "$1"', "edgewright-file", there)
        done = await self._host.run(command, stdin=content, timeout_s=SEND_TIMEOUT_S)
        if done.status != 0:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            raise DeviceError(f"{self._host.name}: {name} could not be stored there: {said}")
        return there


@contextlib.asynccontextmanager
async def remote_folder(host: SshHost) -> AsyncIterator[RemoteFolder]:
    """A folder that is there while the block and the link last, and no longer: its own machine
    removes it, even where this process is killed.

    Raises:
        DeviceError: it cannot be made.
        TransportError: the link broke.
    """
    name = f"edgewright-{secrets.token_hex(12)}"
    is_done = asyncio.Event()
    holding = asyncio.create_task(
        host.run(
            ("sh", "-c", _HOLD, "edgewright-folder", name),
            stdin=_when(is_done),
            timeout_s=_HELD_S,
        ),
        name="ssh-folder",
    )
    try:
        found = await host.run(
            ("sh", "-c", _FIND, "edgewright-folder", name), timeout_s=ASK_TIMEOUT_S
        )
        if found.status != 0:
            raise DeviceError(
                f"{host.name}: no temporary folder could be made there",
                hint="look for a full or read-only disk, or set TMPDIR there",
            )
        yield RemoteFolder(host, found.stdout.decode().strip())
    finally:
        is_done.set()
        await asyncio.wait({holding}, timeout=ASK_TIMEOUT_S)
        holding.cancel()
        # A link that broke took the folder with it; whoever used it was told.
        await asyncio.gather(holding, return_exceptions=True)


async def _when(is_done: asyncio.Event) -> AsyncIterator[bytes]:
    await is_done.wait()
    yield b"done\n"


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
