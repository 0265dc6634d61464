"""An agent's line to its fleet: the client, a good certificate, a broker where one is named."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator

from edgewright.clock import SystemClock
from edgewright.device.agent import DeviceCertificate, FleetClient, Home, Settings
from edgewright.device.agent.ports import Fleet
from edgewright.errors import EdgewrightError

RENEW_LOOK_S = 900.0

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def fleet_of(home: Home) -> AsyncIterator[Fleet | None]:
    """The fleet that this home is enrolled with, None where there is none, for as long as the block
    lasts.
    """
    identity, settings = home.identity(), home.settings()
    if not identity.fleet_url:
        yield None
        return
    client = FleetClient(
        identity.fleet_url,
        secret=identity.secret,
        clock=SystemClock(),
        limit_kbit_s=settings.download_limit_kbit_s,
        certificate=DeviceCertificate(home.root),
    )
    try:
        async with _renewing(client, identity.device), _woken(client, home, settings) as fleet:
            yield fleet
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _woken(client: FleetClient, home: Home, settings: Settings) -> AsyncIterator[Fleet]:
    """The fleet, with a line beside HTTP when `agent.toml` names one."""
    if not (settings.mqtt or settings.amqp or settings.coap):
        yield client
        return
    from edgewright.chain.agent_lines import woken  # noqa: PLC0415 - few devices have one

    async with woken(client, home, settings) as fleet:
        yield fleet


@contextlib.asynccontextmanager
async def _renewing(client: FleetClient, device: str) -> AsyncIterator[None]:
    """Have a certificate that is good, now and for as long as the block lasts. A fleet that does
    not answer is asked again later: what runs here does not need it.
    """

    async def try_once() -> None:
        try:
            if await client.renew(device):
                logger.info("the device's certificate was renewed")
        except EdgewrightError as error:
            logger.warning("renewing the certificate: %s", error)

    async def go_on() -> None:
        while True:
            await asyncio.sleep(RENEW_LOOK_S * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            await try_once()

    await try_once()
    task = asyncio.create_task(go_on(), name="agent-renew")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
