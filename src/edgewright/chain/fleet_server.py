"""The fleet's server as a process: its two addresses, its signals.

Apart from `edgewright.chain.fleet`, so that making a token loads no web framework.
"""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from edgewright.chain.fleet import open_fleet
from edgewright.chain.fleet_blobs import choose_blobs
from edgewright.chain.fleet_brokers import absent_extra, amqp_dial, follow_broker, mqtt_dial
from edgewright.chain.fleet_database import choose
from edgewright.chain.fleet_tls import FleetTls
from edgewright.chain.notifying import bring_news
from edgewright.chain.open_files import allow_all_open_files
from edgewright.errors import UnavailableError
from edgewright.fleet.device_api.door import Door
from edgewright.fleet.listening import Address, parse_address, parse_networks, uses_tls
from edgewright.fleet.office import Office
from edgewright.fleet.serving import Errand, Listener, Ready
from edgewright.fleet.serving import serve as serve_office

OIDC_FILE = "oidc.toml"


class ServeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve where. TLS is on beyond loopback, and on loopback when it is wanted."""

    listen: str
    devices: str
    tls: bool | None = None
    names: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    database: str = ""
    blobs: str = ""
    mqtt: str = ""
    mqtt_password_file: Path | None = None
    amqp: str = ""
    amqp_password_file: Path | None = None
    coap: str = ""


def serve(home: Path, order: ServeOrder, *, ready: Callable[[Ready], None]) -> None:
    """Run the fleet's server until SIGINT or SIGTERM.

    Raises:
        InputError: not an address, or one beyond loopback without TLS.
        ResourceError: an address is in use.
    """
    people_at = parse_address(order.listen, flag="--listen")
    devices_at = parse_address(order.devices, flag="--devices")
    people_tls = uses_tls(people_at, wanted=order.tls, flag="--listen")
    devices_tls = uses_tls(devices_at, wanted=order.tls, flag="--devices")
    proxies = parse_networks(order.trusted_proxies)
    tls = FleetTls(home)
    lines = _lines(order)

    async def run(office: Office) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        names = tls.settings().names
        await serve_office(
            office,
            people=Listener(
                address=people_at,
                context=tls.people_context() if people_tls else None,
                names=names,
            ),
            devices=Listener(
                address=devices_at, context=tls.device_context() if devices_tls else None
            ),
            door=Door(
                takes_secrets=not devices_tls,
                trusted_proxies=proxies,
                authority_pem=tls.authority_pem(),
                factory_pem=tls.factory_pem(),
            ),
            ready=ready,
            stop=stop,
            errands=(lambda desk: bring_news(office, desk.writer), *lines),
        )

    if order.database:
        choose(home, order.database)
    if order.blobs:
        choose_blobs(home, order.blobs)
    allow_all_open_files()
    with open_fleet(home, create=True) as office:
        office.publishing.forget_arrivals()
        if people_tls or devices_tls:
            tls.ready((*order.names, *_own(people_at), *_own(devices_at)))
        if (home / OIDC_FILE).exists():
            office = _with_provider(home, office)  # noqa: PLW2901 - the same fleet, and more of it
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(office))


def _lines(order: ServeOrder) -> tuple[Errand, ...]:
    """The ways beside HTTP that were named."""
    lines: list[Errand] = []
    if order.mqtt:
        mqtt = mqtt_dial(order.mqtt, order.mqtt_password_file)
        lines.append(lambda desk: follow_broker(desk, mqtt, "MQTT"))
    if order.amqp:
        amqp = amqp_dial(order.amqp, order.amqp_password_file)
        lines.append(lambda desk: follow_broker(desk, amqp, "AMQP"))
    if order.coap:
        lines.append(_coap(parse_address(order.coap, flag="--coap")))
    return tuple(lines)


def _coap(address: Address) -> Errand:
    try:
        from edgewright.fleet.coap_gateway import CoapGateway  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise absent_extra("coap", error) from error
    return lambda desk: CoapGateway(desk, address).run()


def _with_provider(home: Path, office: Office) -> Office:
    try:
        from edgewright.chain.fleet_oidc import provider_login  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"{OIDC_FILE} names an identity provider; that needs {error.name}, which is not "
            "installed",
            hint="pip install 'edgewright[oidc]'",
        ) from error
    return msgspec.structs.replace(office, oidc=provider_login(home, office))


def _own(address: Address) -> tuple[str, ...]:
    """The name that a listener's address is; none for one that stands for all."""
    return () if address.host in ("", "0.0.0.0", "::") else (address.host,)  # noqa: S104 - compared
