"""A fleet's line to a broker, wired; importing this file needs the extra `mqtt`."""

import random
from pathlib import Path

from edgewright import _fs
from edgewright.fleet.broker_link import BrokerLink
from edgewright.fleet.device_api.handler import Desk
from edgewright.transports.mqtt import Broker, parse_broker

PASSWORD_LIMIT_BYTES = 4096


def broker_of(url: str, password_file: Path | None) -> Broker:
    """A broker's address, with the password that a file holds.

    Raises:
        InputError: not an address of a broker, or no such file.
    """
    return parse_broker(url, password=read_password(password_file))


def read_password(path: Path | None) -> str | None:
    """The first line of a file; None without one."""
    if path is None:
        return None
    return _fs.read_limited(path, limit_bytes=PASSWORD_LIMIT_BYTES).decode().splitlines()[0]


async def follow_broker(desk: Desk, broker: Broker) -> None:
    """Hold the line until cancelled."""
    await BrokerLink(desk, broker, rng=random.Random()).run()  # noqa: S311 - jitter
