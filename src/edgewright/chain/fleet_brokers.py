"""A fleet's lines to brokers, wired. What carries them is an extra and loaded when it is named."""

import random
from pathlib import Path

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.fleet.broker_link import BrokerLink
from edgewright.fleet.device_api.handler import Desk
from edgewright.transports.line import Dial
from edgewright.wire.broker import EXCHANGE

PASSWORD_LIMIT_BYTES = 4096


def mqtt_dial(url: str, password_file: Path | None) -> Dial:
    """How to reach an MQTT broker, with the password that a file holds.

    Raises:
        InputError: not an address of a broker, or no such file.
        UnavailableError: the extra is not installed.
    """
    try:
        from edgewright.transports import mqtt  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise absent_extra("mqtt", error) from error
    broker = mqtt.parse_broker(url, password=read_password(password_file))
    return lambda: mqtt.opened(broker)


def amqp_dial(url: str, password_file: Path | None) -> Dial:
    """How to reach an AMQP broker; as `mqtt_dial`."""
    try:
        from edgewright.transports import amqp  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise absent_extra("amqp", error) from error
    host = amqp.parse_host(url, password=read_password(password_file))
    return lambda: amqp.opened(host, EXCHANGE)


def read_password(path: Path | None) -> str | None:
    """The first line of a file; None without one."""
    if path is None:
        return None
    return _fs.read_limited(path, limit_bytes=PASSWORD_LIMIT_BYTES).decode().splitlines()[0]


async def follow_broker(desk: Desk, dial: Dial, way: str) -> None:
    """Hold the line until cancelled."""
    await BrokerLink(desk, dial, way=way, rng=random.Random()).run()  # noqa: S311 - jitter


def absent_extra(extra: str, error: ModuleNotFoundError) -> UnavailableError:
    """What is said when a way needs a package that is not there."""
    return UnavailableError(
        f"{extra} needs {error.name}, which is not installed",
        hint=f"pip install 'edgewright[{extra}]'",
    )
