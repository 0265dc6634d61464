"""An agent's line to its fleet beside HTTP, wired: over a broker, or to the fleet's CoAP server.
What carries it is an extra and loaded when `agent.toml` names it.
"""

import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from edgewright.chain.fleet_brokers import absent_extra, read_password
from edgewright.clock import SystemClock
from edgewright.device.agent import DeviceCertificate, Home, Settings
from edgewright.device.agent.broker_link import BrokerWay
from edgewright.device.agent.hint_line import HintLine, Way, WokenFleet
from edgewright.device.agent.ports import Fleet
from edgewright.transports.line import Dial, Line
from edgewright.wire.broker import EXCHANGE


@contextlib.asynccontextmanager
async def woken(fleet: Fleet, home: Home, settings: Settings) -> AsyncIterator[Fleet]:
    """The fleet with the line that `agent.toml` names, as long as the block lasts.

    Raises:
        InputError: it names no address that can be.
        UnavailableError: the extra that carries it is not installed.
    """
    clock = SystemClock()
    device, certificate = home.identity().device, DeviceCertificate(home.root)
    way = _coap(device, settings) if settings.coap else _brokered(device, settings, certificate)
    jitter = random.Random()  # noqa: S311 - no secret comes of it
    line = HintLine(device, way, certificate=certificate, clock=clock, rng=jitter)
    async with line.held():
        yield WokenFleet(fleet, line, clock)


def _brokered(device: str, settings: Settings, certificate: DeviceCertificate) -> Way:
    dial = _mqtt(settings, certificate) if settings.mqtt else _amqp(settings, certificate)
    return BrokerWay(device, dial)


def _mqtt(settings: Settings, certificate: DeviceCertificate) -> Dial:
    try:
        from edgewright.transports import mqtt  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise absent_extra("mqtt", error) from error

    def dial() -> AbstractAsyncContextManager[Line]:
        password = _password(settings.mqtt_password_file)
        tls = _tls(certificate)
        return mqtt.opened(mqtt.parse_broker(settings.mqtt, password=password, tls=tls))

    mqtt.parse_broker(settings.mqtt, tls=_tls(certificate))
    return dial


def _amqp(settings: Settings, certificate: DeviceCertificate) -> Dial:
    try:
        from edgewright.transports import amqp  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise absent_extra("amqp", error) from error

    def dial() -> AbstractAsyncContextManager[Line]:
        password = _password(settings.amqp_password_file)
        host = amqp.parse_host(settings.amqp, password=password, tls=_tls(certificate))
        return amqp.opened(host, EXCHANGE)

    amqp.parse_host(settings.amqp)
    return dial


def _coap(device: str, settings: Settings) -> Way:
    try:
        from edgewright.device.agent.coap_link import CoapWay  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise absent_extra("coap", error) from error
    return CoapWay(device, settings.coap)


def _password(file: str) -> str | None:
    return read_password(Path(file)) if file else None


def _tls(certificate: DeviceCertificate) -> ssl.SSLContext:
    """Believes what the system believes and the fleet's authority; shows this device's
    certificate, by which a broker can know whose topics are whose.
    """
    context = certificate.context()
    context.load_default_certs()
    return context
