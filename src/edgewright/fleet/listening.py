"""Where a fleet may listen: on loopback, until mutual TLS exists."""

import ipaddress

import msgspec

from edgewright.errors import InputError


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A host and a port; port 0 takes any free one."""

    host: str
    port: int


def parse_loopback(text: str, *, flag: str) -> Address:
    """A HOST:PORT on this machine only.

    >>> parse_loopback("127.0.0.1:0", flag="--listen")
    Address(host='127.0.0.1', port=0)

    Raises:
        InputError: not an address, or one that other machines reach.
    """
    host, colon, port_text = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port_text.isdecimal() or int(port_text) > 65535:
        raise InputError(f"{flag} {text!r}: expected HOST:PORT", hint="like 127.0.0.1:8700")
    if host == "localhost":
        host = "127.0.0.1"
    if not _is_loopback(host):
        raise InputError(
            f"{flag} {text}: this fleet listens on loopback only, because it cannot identify "
            "devices and people by certificate yet",
            hint="use 127.0.0.1 and an SSH or WireGuard tunnel that ends on this machine",
        )
    return Address(host=host, port=int(port_text))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
