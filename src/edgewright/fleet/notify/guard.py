"""Where a fleet may connect to when somebody with a token asks it to: public addresses only.

Others (this machine, its network, what a private network numbers) count only for a host that the
operator of this machine named, with or without a port. Addresses that only a cloud's own machines
reach (metadata services hand out credentials) and those that are nobody's stay refused whatever was
named. A name is resolved once, every address that it gives is looked at, and the connection goes to
the one that was looked at: a name that means something else a moment later gains nothing.

>>> forbidden("93.184.216.34"), forbidden("::ffff:127.0.0.1")
('', 'not a public address')
>>> forbidden("127.0.0.1", is_named=True), forbidden("169.254.169.254", is_named=True)
('', 'an address of link-local or metadata services')
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

from edgewright.errors import InputError, TransportError, TrustError
from edgewright.fleet.notify.destination import Destination

Resolve = Callable[[str, int], Sequence[str]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",
            "fe80::/10",
            "100.100.100.200/32",
            "192.0.0.192/32",
            "168.63.129.16/32",
            "fd00:ec2::254/128",
            "fd20:ce::254/128",
        ),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAMED = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>\d{1,5}))?")


def system_resolve(host: str, port: int) -> tuple[str, ...]:
    """What this machine's resolver says.

    Raises:
        TransportError: it says nothing.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransportError(
            f"the name {host[:80]!r} cannot be resolved", hint="check the name and the network"
        ) from error
    return tuple(str(item[4][0]) for item in found)


class Guard:
    """The rule with what the operator named."""

    def __init__(
        self, named: Callable[[], Sequence[str]], *, resolve: Resolve = system_resolve
    ) -> None:
        self._named = named
        self._resolve = resolve

    def pin(self, destination: Destination) -> str:
        """The one address to connect to.

        Raises:
            TrustError: the destination is not to be reached from here.
            TransportError: its name cannot be resolved.
        """
        is_named = any(_fits(name, destination) for name in self._named())
        if not (destination.has_tls or destination.kind == "email" or is_named):
            raise _refusal(destination, "TLS is needed there")
        addresses = self._resolve(destination.host, destination.port)
        for address in addresses:
            reason = forbidden(address, is_named=is_named)
            if reason:
                raise _refusal(destination, reason)
        if not addresses:
            raise TransportError(f"the name {destination.host[:80]!r} has no address")
        return addresses[0]

    def is_named(self, destination: Destination) -> bool:
        """Whether the operator named this host."""
        return any(_fits(name, destination) for name in self._named())


def forbidden(address: str, *, is_named: bool = False) -> str:
    """Why nothing is sent there; empty when it may be."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "not an address"
    for each in _meanings(parsed):
        if any(each in network for network in _METADATA if network.version == each.version):
            return "an address of link-local or metadata services"
        if each.is_multicast or each.is_unspecified or each == ipaddress.ip_address(2**32 - 1):
            return "an address of nobody"
        if not is_named and not each.is_global:
            return "not a public address"
    return ""


def check_named(text: str) -> str:
    """A host, maybe with a port, that an operator names.

    Raises:
        InputError: it is none.
    """
    found = _NAMED.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise InputError(f"{text[:80]!r} is not a host", hint="write HOST or HOST:PORT")
    return text.lower()


def _meanings(address: _Address) -> list[_Address]:
    """The address, and every IPv4 address that it stands for on the way."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or int(address) < 2**32:
        inner.append(ipaddress.IPv4Address(int(address) & (2**32 - 1)))
    stands_for: list[_Address] = [each for each in inner if each is not None]
    is_only_a_wrapper = address.ipv4_mapped is not None or address in _NAT64
    return stands_for if is_only_a_wrapper else [address, *stands_for]


def _fits(name: str, destination: Destination) -> bool:
    found = _NAMED.fullmatch(name)
    if found is None:
        return False
    host = found["host"].strip("[]")
    port = found["port"]
    return host == destination.host.lower() and port in (None, str(destination.port))


def _refusal(destination: Destination, reason: str) -> TrustError:
    return TrustError(
        f"nothing is sent to {destination.host[:80]}:{destination.port}: {reason}",
        hint="the operator of the fleet's machine can name it: edgewright fleet notify allow HOST",
    )
