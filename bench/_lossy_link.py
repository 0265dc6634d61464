"""A bad line between a device and its fleet: slow, lossy, and cut again and again.

The kernel here has no netem, so a proxy stands for the line. Segments go one after the other at the
line's rate; one that is lost takes its time on the line, a retransmission timeout and its time
again; every few seconds the connection ends, in the middle of whatever it carried.
"""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from edgewright.bundle import open_bundle
from edgewright.clock import SystemClock
from edgewright.device.agent import (
    Agent,
    ContentKeys,
    FleetClient,
    Home,
    Identity,
    Journal,
    Numbers,
    Outbox,
    Policy,
    Recorder,
    Release,
    Slots,
    Tools,
)
from edgewright.stores import Log
from edgewright.testing.bundles import build_tiny
from edgewright.testing.device import FakeProbe, FakeServer, inline
from edgewright.testing.keys import MemorySigner
from edgewright.transports.http1 import Request, Response, file_response, start_server
from edgewright.trust import TrustedKeys
from edgewright.wire.device_api import BUNDLES

SEGMENT_BYTES = 1460
TIMEOUT_S = 0.2


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How bad the line is."""

    kbit_s: float = 64.0
    loss: float = 0.3
    cut_every_s: float = 10.0


class Crossing(msgspec.Struct, kw_only=True):
    """What a download took."""

    seconds: float = 0.0
    cuts: int = 0
    lost: int = 0
    carried_bytes: int = 0
    file_bytes: int = 0
    is_active: bool = False


async def cross(folder: Path, line: Line, *, size_bytes: int, seed: int = 1) -> Crossing:
    """Bring a bundle of about this size over the line and commit it, by the real agent."""
    path = folder / "new.ewb"
    build_tiny(path, version="1", filler_bytes=size_bytes)
    crossing = Crossing(file_bytes=path.stat().st_size)
    async with _fleet(path) as fleet, _line(fleet, line, crossing, random.Random(seed)) as port:
        clock = SystemClock()
        client = FleetClient(f"http://127.0.0.1:{port}", secret="s", clock=clock)
        agent = _agent(Home(folder / "home"), client)
        start_s = clock.monotonic_s()
        progress = await agent.take(_release(path), agent.update("tiny"))
        crossing.seconds = round(clock.monotonic_s() - start_s, 1)
        crossing.is_active = progress.good == agent.tools.slots.current("tiny") != ""
        await client.close()
    return crossing


@contextlib.asynccontextmanager
async def _fleet(path: Path) -> AsyncIterator[int]:
    async def answer(request: Request) -> Response:
        if not request.path.startswith(BUNDLES) or "base" in request.query:
            return Response(status=404)
        return file_response(path, request)

    server = await start_server(answer, host="127.0.0.1", port=0, clock=SystemClock())
    yield int(server.address.rpartition(":")[2])
    await server.close(drain_s=0)


@contextlib.asynccontextmanager
async def _line(
    fleet: int, line: Line, crossing: Crossing, rng: random.Random
) -> AsyncIterator[int]:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the fleet to the device, segment by segment."""
        while segment := await reader.read(SEGMENT_BYTES):
            time_s = len(segment) * 8 / (line.kbit_s * 1000)
            await asyncio.sleep(time_s)
            while rng.random() < line.loss:
                crossing.lost += 1
                await asyncio.sleep(TIMEOUT_S + time_s)
            crossing.carried_bytes += len(segment)
            writer.write(segment)
            await writer.drain()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_fleet = await asyncio.open_connection("127.0.0.1", fleet, limit=SEGMENT_BYTES)
        ways = [
            asyncio.create_task(carry(to_fleet[0], writer)),
            asyncio.create_task(_copy(reader, to_fleet[1])),
        ]
        done, _ = await asyncio.wait(
            ways, timeout=line.cut_every_s, return_when=asyncio.FIRST_COMPLETED
        )
        crossing.cuts += not done
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (to_fleet[1], writer):
            end.transport.abort()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(SEGMENT_BYTES):
        writer.write(chunk)
        await writer.drain()


def _agent(home: Home, client: FleetClient) -> Agent:
    keys = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))
    home.save_enrolment(Identity(device="d1"), keys)
    numbers = Numbers(Log(home.numbers_path))
    outbox = Outbox(Log(home.outbox_path), numbers, device="d1")
    recorder = Recorder(Journal(Log(home.journal_path)), outbox)
    trust = home.trust()
    tools = Tools(
        write=recorder.write,
        slots=Slots(home.slots, trust, reserve_mb=0),
        trust=trust,
        content_keys=ContentKeys(trust, home.sealing_key),
        probe=FakeProbe(),
        server=FakeServer(),
        clock=SystemClock(),
        offload=inline,
        downloads=home.downloads,
        policy=Policy(probation_s=0.1),
        fleet=client,
    )
    return Agent(home, recorder, tools)


def _release(path: Path) -> Release:
    bundle = open_bundle(path)
    return Release(
        model="tiny",
        bundle_id=bundle.id,
        version="1",
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        file_size_bytes=path.stat().st_size,
    )
