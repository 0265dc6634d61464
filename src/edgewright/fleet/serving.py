"""A fleet that runs: the listener for devices, the one for people, and the heartbeat."""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn

from edgewright._tasks import ended
from edgewright.errors import ResourceError
from edgewright.fleet.device_api import DeviceApi
from edgewright.fleet.device_api.door import Door
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.listening import Address, Network
from edgewright.fleet.office import Office
from edgewright.fleet.people_api import House, build_app
from edgewright.fleet.presence import Presence
from edgewright.fleet.pulse import Pulse
from edgewright.fleet.state import State
from edgewright.telemetry.batch import BATCH_LIMIT_BYTES
from edgewright.transports.http1 import Limits, Server, start_server

DEVICE_CONNECTIONS = 40_000
"""A device has two: one waits for orders, one brings what it tells."""
OTHER_FILES = 512
DRAIN_S = 2.0
LAST_WRITE_S = 12.0
READERS = 32

_BACKLOG = 512


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Where to listen, with TLS when there is a context, and under which names."""

    address: Address
    context: ssl.SSLContext | None = None
    names: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running fleet listens."""

    people: str
    devices: str


Errand = Callable[[Desk], Coroutine[Any, Any, None]]
"""What a running fleet also does, until it is cancelled; one that fails ends the fleet."""


async def serve(
    office: Office,
    *,
    people: Listener,
    devices: Listener,
    door: Door,
    ready: Callable[[Ready], None],
    stop: asyncio.Event,
    errands: Sequence[Errand] = (),
) -> None:
    """Serve until `stop` is set; `ready` is called once both listeners answer.

    Raises:
        ResourceError: an address is in use, or not this process's to take.
    """
    presence = Presence()
    async with _writing(office.state) as writer:
        desk = Desk(
            state=office.state,
            registry=office.registry,
            enrolments=office.enrolments,
            presence=presence,
            clock=office.clock,
            trusted=office.trusted,
            writer=writer,
            refusals=office.refusals,
            commands=office.desk_commands,
            door=door,
            director=office.director,
            patches=office.patches,
        )
        async with (
            _device_server(DeviceApi(desk), devices, office) as device_server,
            _people_server(office, people, door.trusted_proxies) as people_url,
        ):
            pulse = Pulse(office, presence, writer, refused=lambda: device_server.refusals)
            works = [asyncio.create_task(pulse.run(), name="fleet-pulse")]
            works += [asyncio.create_task(errand(desk), name="fleet-errand") for errand in errands]
            stopped = asyncio.create_task(stop.wait(), name="fleet-stop")
            ready(Ready(people=people_url, devices=device_server.address))
            try:
                await asyncio.wait({*works, stopped}, return_when=asyncio.FIRST_COMPLETED)
                for work in works:
                    if work.done():
                        work.result()
            finally:
                presence.wake_all()
                await _cancelled(*works, stopped)


@contextlib.asynccontextmanager
async def _writing(state: State) -> AsyncIterator[ThreadPoolExecutor]:
    """The one thread that writes. What is begun ends before the block does, unless the database
    does not answer: then it is hung up on.
    """
    writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-writer")
    if not state.is_local:
        readers = ThreadPoolExecutor(READERS, thread_name_prefix="fleet-reader")
        asyncio.get_running_loop().set_default_executor(readers)
    try:
        yield writer
    finally:
        last = asyncio.wrap_future(writer.submit(int))
        await asyncio.wait({last}, timeout=LAST_WRITE_S)
        if not last.done():
            state.hang_up()
        writer.shutdown(cancel_futures=True)


@contextlib.asynccontextmanager
async def _device_server(
    handler: DeviceApi, listener: Listener, office: Office
) -> AsyncIterator[Server]:
    limits = Limits(body_bytes=BATCH_LIMIT_BYTES, connections=_device_connections())
    server = await start_server(
        handler,
        host=listener.address.host,
        port=listener.address.port,
        limits=limits,
        clock=office.clock,
        tls=listener.context,
    )
    try:
        yield server
    finally:
        await server.close(drain_s=DRAIN_S)


def _device_connections() -> int:
    """As many as this process may open beside its own files: one more would end in an error of the
    system, where the listener lets go of the peer that was idle longest.
    """
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(DEVICE_CONNECTIONS, max(open_files - OTHER_FILES, open_files // 2))


class _Uvicorn(uvicorn.Server):
    """Signals belong to whoever runs the fleet."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _people_server(
    office: Office, people: Listener, proxies: Sequence[Network]
) -> AsyncIterator[str]:
    with _bound(people.address) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            build_app(office, house=House(names=people.names, is_local=people.context is None)),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(DRAIN_S),
            lifespan="on",
            # From whom it is told who asks; uvicorn's own choice is everybody on this machine.
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(map(str, proxies)),
        )
        config.load()
        config.ssl = people.context
        server = _Uvicorn(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="fleet-people")
        while not server.started and not task.done():
            await office.clock.sleep(0.01)
        if task.done():
            task.result()
        try:
            yield f"http{'s' if people.context else ''}://{shown}:{port}"
        finally:
            server.should_exit = True
            await task


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ResourceError(
            f"listening on {address.host}:{address.port}: {error.strerror}",
            hint="stop the other server, or choose another port (0 takes any free one)",
        ) from error
    return listener


async def _cancelled(*tasks: asyncio.Task[object]) -> None:
    await ended(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
