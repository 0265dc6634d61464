"""What every user of aiocoap (extra `coap`) does with its sockets."""

import socket

import aiocoap
from aiocoap.transports.udp6 import MessageInterfaceUDP6

# Of linux/in.h and linux/in6.h; Python names neither.
_IP_RECVERR = 11
_IPV6_RECVERR = 25


def hear_on(context: aiocoap.Context) -> None:
    """Ask the kernel not to tell the context's sockets which peers are gone: libuv, whose loop
    most of this project's processes run, stops watching a socket at the first such report, and the
    socket is deaf from then on. Who does not answer is found out by CoAP's own timeouts.
    """
    for interface in context.request_interfaces:
        messages = getattr(interface.token_interface, "message_interface", None)
        if isinstance(messages, MessageInterfaceUDP6):
            told = messages.transport.get_extra_info("socket")
            told.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 0)
            told.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 0)


def check_free(host: str, port: int) -> None:
    """Refuse an address that another process listens on: aiocoap would share it, and each datagram
    would reach one of both.

    Raises:
        OSError: it is in use, or no address of this machine.
    """
    family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind(where)
