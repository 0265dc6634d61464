"""An agent's line to a broker, wired; importing this file needs the extra `mqtt`."""

import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from edgewright.chain.fleet_mqtt import read_password
from edgewright.clock import SystemClock
from edgewright.device.agent import DeviceCertificate, Home, Settings
from edgewright.device.agent.broker_link import BrokerLink, WokenFleet
from edgewright.device.agent.ports import Fleet
from edgewright.transports.mqtt import Broker, parse_broker


@contextlib.asynccontextmanager
async def woken(fleet: Fleet, home: Home, settings: Settings) -> AsyncIterator[Fleet]:
    """The fleet with a line to its broker, as long as the block lasts.

    Raises:
        InputError: `agent.toml` names no broker that can be.
    """
    certificate, clock = DeviceCertificate(home.root), SystemClock()

    def broker() -> Broker:
        path = Path(settings.mqtt_password_file) if settings.mqtt_password_file else None
        return parse_broker(settings.mqtt, password=read_password(path), tls=_tls(certificate))

    broker()
    link = BrokerLink(
        home.identity().device,
        broker,
        certificate=certificate,
        clock=clock,
        rng=random.Random(),  # noqa: S311 - jitter
    )
    async with link.held():
        yield WokenFleet(fleet, link, clock)


def _tls(certificate: DeviceCertificate) -> ssl.SSLContext:
    """Believes what the system believes and the fleet's authority; shows this device's
    certificate, by which a broker can know whose topics are whose.
    """
    context = certificate.context()
    context.load_default_certs()
    return context
