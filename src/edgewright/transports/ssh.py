"""Commands on another machine over SSH. Its host key must be known beforehand; nothing is trusted
on first use.

Names, users, ports, keys and jump hosts are taken from `~/.ssh/config`, so that the names that
Tailscale or WireGuard give work like any other.
"""

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncssh
import msgspec

from edgewright.errors import EdgewrightError, InputError, TransportError, TrustError
from edgewright.transports._reason import reason_of

OUTPUT_LIMIT_BYTES = 4 << 20

_CHUNK_BYTES = 64 << 10
_KEEPALIVE_S = 5


class SshTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to connect to. What is empty is left to `~/.ssh/config`."""

    host: str
    user: str = ""
    port: int = 0
    known_hosts: Path | None = None
    identities: tuple[Path, ...] = ()
    config: Path | None = None
    connect_timeout_s: float = 15.0

    @property
    def text(self) -> str:
        """As people write it."""
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{self.host}{f':{self.port}' if self.port else ''}"


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended; `status` is -1 when a signal ended it."""

    status: int
    stdout: bytes
    stderr: bytes


class SshHost:
    """A machine that is connected."""

    def __init__(self, connection: asyncssh.SSHClientConnection, target: SshTarget) -> None:
        self._connection = connection
        self._target = target

    @property
    def name(self) -> str:
        """For messages and reports."""
        return self._target.text

    @property
    def key_fingerprint(self) -> str:
        """The host key that was checked against the known ones."""
        key = self._connection.get_server_host_key()
        return key.get_fingerprint() if key else ""

    async def run(
        self, command: Sequence[str], *, stdin: AsyncIterator[bytes] | None = None, timeout_s: float
    ) -> Ran:
        """Run a command to its end, feeding it what `stdin` gives.

        Raises:
            TransportError: the link broke, or the command did not end in time.
        """
        with _translated(self._target):
            async with asyncio.timeout(timeout_s):
                return await self._run(shlex.join(command), stdin)

    async def _run(self, line: str, stdin: AsyncIterator[bytes] | None) -> Ran:
        async with self._connection.create_process(line, encoding=None) as process:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(_feed(process.stdin, stdin), name="ssh-stdin")
                out = group.create_task(_limited(process.stdout), name="ssh-stdout")
                err = group.create_task(_limited(process.stderr), name="ssh-stderr")
                await asyncio.wait({out, err})
                feeding.cancel()
            await process.wait_closed()
        if process.exit_status is None and process.exit_signal is None:
            raise TransportError(
                f"{self.name}: the link broke while a command ran", hint="run the command again"
            )
        status = process.exit_status if process.exit_status is not None else -1
        return Ran(status=status, stdout=out.result(), stderr=err.result())

    @contextlib.asynccontextmanager
    async def forwarded(self, host: str, port: int) -> AsyncIterator[str]:
        """A local address behind which that machine's address lies, while the block lasts."""
        with _translated(self._target):
            listener = await self._connection.forward_local_port("127.0.0.1", 0, host, port)
        try:
            yield f"http://127.0.0.1:{listener.get_port()}"
        finally:
            listener.close()
            await listener.wait_closed()


@contextlib.asynccontextmanager
async def connected(target: SshTarget) -> AsyncIterator[SshHost]:
    """A machine, connected while the block lasts.

    Raises:
        TrustError: its host key is not the known one, or none is known.
        InputError: it does not let this user in.
        TransportError: it does not answer.
    """
    options: dict[str, object] = {
        "known_hosts": str(target.known_hosts) if target.known_hosts else (),
        "connect_timeout": target.connect_timeout_s,
        "keepalive_interval": _KEEPALIVE_S,
    }
    if target.user:
        options["username"] = target.user
    if target.port:
        options["port"] = target.port
    if target.identities:
        options["client_keys"] = [str(path) for path in target.identities]
    if target.config:
        options["config"] = [str(target.config)]
    with _translated(target):
        connection = await asyncssh.connect(target.host, **options)
    try:
        yield SshHost(connection, target)
    finally:
        connection.close()
        with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
            async with asyncio.timeout(5):
                await connection.wait_closed()


async def _feed(writer: "asyncssh.SSHWriter[bytes]", source: AsyncIterator[bytes] | None) -> None:
    """Give a command its input; one that ends without reading it all is no fault of the feeding."""
    with contextlib.suppress(BrokenPipeError, asyncssh.BreakReceived):
        if source is not None:
            async for chunk in source:
                writer.write(chunk)
                await writer.drain()
        writer.write_eof()


async def _limited(reader: "asyncssh.SSHReader[bytes]") -> bytes:
    """All that a command says, up to a limit; the rest is read and dropped."""
    kept = bytearray()
    while chunk := await reader.read(_CHUNK_BYTES):
        kept += chunk[: OUTPUT_LIMIT_BYTES - len(kept)]
    return bytes(kept)


@contextlib.contextmanager
def _translated(target: SshTarget) -> Iterator[None]:
    try:
        yield
    except EdgewrightError:
        raise
    except BaseExceptionGroup as group:
        raise _explained(target, group.exceptions[0]) from group
    except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
        raise _explained(target, error) from error


def _explained(target: SshTarget, error: BaseException) -> EdgewrightError:
    name = target.text
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return TrustError(
                f"{name}: its host key is not the one that is known, or none is known: {error}",
                hint="compare its fingerprint on the machine itself, then: ssh-keyscan -p PORT HOST"
                " >> ~/.ssh/known_hosts",
            )
        case asyncssh.PermissionDenied():
            return InputError(f"{name}: {error}", hint="give a key with --identity, or check USER")
        case asyncssh.KeyImportError() | asyncssh.ConfigParseError():
            return InputError(f"{name}: {error}", hint="check the key file and ~/.ssh/config")
        case TimeoutError():
            return TransportError(f"{name}: no answer in time", hint="check the network")
        case _:
            return TransportError(
                f"{name}: {reason_of(error)}", hint="check the address and the network"
            )
