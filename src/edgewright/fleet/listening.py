"""Where a fleet may listen: on loopback, and beyond it with TLS only."""

import ipaddress

import msgspec

from edgewright.errors import InputError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A host and a port; port 0 takes any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str, *, flag: str) -> Address:
    """A HOST:PORT.

    >>> parse_address("127.0.0.1:0", flag="--listen")
    Address(host='127.0.0.1', port=0)

    Raises:
        InputError: it is none.
    """
    host, colon, port_text = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port_text.isdecimal() or int(port_text) > 65535:
        raise InputError(f"{flag} {text!r}: expected HOST:PORT", hint="like 127.0.0.1:8700")
    if host == "localhost":
        host = "127.0.0.1"
    return Address(host=host, port=int(port_text))


def uses_tls(address: Address, *, wanted: bool | None, flag: str) -> bool:
    """Whether a listener speaks TLS: as wanted, and otherwise wherever others reach it.

    Raises:
        InputError: others reach it, and TLS was forbidden.
    """
    if wanted is False and not address.is_loopback:
        raise InputError(
            f"{flag} {address.host}:{address.port}: without TLS this fleet listens on loopback "
            "only, because it identifies devices and people by certificate",
            hint="leave --no-tls out, or put a proxy on this machine in front",
        )
    return not address.is_loopback if wanted is None else wanted


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses or networks of proxies.

    Raises:
        InputError: one of them is none.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise InputError(
            f"--trusted-proxy: {error}", hint="like 127.0.0.1 or 10.0.0.0/24"
        ) from error
