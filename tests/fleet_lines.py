"""A fleet that devices also reach by another way than HTTP, and what tests of such ways share."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.fleet_process import fleet_serving

from edgewright.chain.enrolment import enroll
from edgewright.chain.fleet import open_fleet, trust
from edgewright.clock import SystemClock
from edgewright.device.agent import DeviceCertificate, FleetClient
from edgewright.device.agent.hint_line import HintLine, Hints, Way, WokenFleet
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.rollouts import RolloutOrder
from edgewright.fleet.state import schema
from edgewright.telemetry import HealthRecord, Record
from edgewright.testing.bundles import build_tiny
from edgewright.testing.fleet import SIGNER, release_file
from edgewright.wire.device_api import Desired


class LinePlace:
    """A fleet process, TLS, with releases and whatever carries its hints beside it."""

    broker: Any = None
    url = ""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "fleet"
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.home, [folder / "key.pub"], threshold=1, by="test")
        with open_fleet(self.home) as office:
            for version in ("1", "2"):
                release_file(folder / f"{version}.ewb", version=version)
                office.registry.publish(folder / f"{version}.ewb", by="test")
            release_file(folder / "more.ewb", version="3", model="more")
            office.registry.publish(folder / "more.ewb", by="test")
            build_tiny(folder / "real.ewb", version="7")
            office.registry.publish(folder / "real.ewb", by="test")

    @contextlib.contextmanager
    def serving(self, *flags: str) -> Iterator["LinePlace"]:
        with fleet_serving(self.home, "--tls", *flags) as made:
            self.url = made.devices
            yield self

    def enrol(self, name: str) -> None:
        with open_fleet(self.home) as office:
            token = office.devices.create_token(TokenOrder(), by="test").token
        enroll(self.url, token=token, home=self.folder / name, device=name, labels={})

    def order(self, release: str, device: str) -> None:
        with open_fleet(self.home) as office:
            order = RolloutOrder(release=release, query=f"device={device}", waves="100%")
            office.rollouts.start(order, by="test")

    def kept(self, device: str) -> list[int]:
        table = schema.records
        with open_fleet(self.home) as office, office.state.read() as connection:
            query = select(table.c.sequence).where(table.c.device == device)
            return list(connection.scalars(query.order_by(table.c.id)))


class CountingClient(FleetClient):
    """The plain way, with a note of how it was used."""

    def __init__(self, place: LinePlace, name: str) -> None:
        super().__init__(
            place.url, secret="", clock=SystemClock(),
            certificate=DeviceCertificate(place.folder / name),
        )  # fmt: skip
        self.waits: list[float] = []
        self.sent = 0

    async def desired(self, *, etag: str, wait_s: float) -> tuple[str, Desired] | None:
        self.waits.append(wait_s)
        return await super().desired(etag=etag, wait_s=wait_s)

    async def send(self, records: tuple[Record, ...]) -> None:
        self.sent += 1
        await super().send(records)


def line_over(way: Way, place: "LinePlace", name: str) -> HintLine:
    """A device's line."""
    certificate = DeviceCertificate(place.folder / name)
    return HintLine(name, way, certificate=certificate, clock=SystemClock(), rng=random.Random(1))


@contextlib.asynccontextmanager
async def living_on(
    place: LinePlace, name: str, link: Any
) -> AsyncIterator[tuple[CountingClient, WokenFleet]]:
    """A device's fleet, over a line that is held meanwhile."""
    client = CountingClient(place, name)
    async with link.held():
        try:
            yield client, WokenFleet(client, link, SystemClock())
        finally:
            await client.close()


async def is_up(link: Hints, *, wanted: bool = True) -> None:
    async with asyncio.timeout(20):
        while link.is_up != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def health(device: str, *sequences: int) -> tuple[Record, ...]:
    return tuple(
        HealthRecord(device=device, sequence=number, at_s=1.0, memory_free_mb=1.0, disk_free_mb=1.0)
        for number in sequences
    )
