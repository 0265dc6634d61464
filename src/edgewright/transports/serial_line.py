"""Lines of a serial port (extra `serial`); what they say is the caller's."""

import asyncio
from collections.abc import AsyncGenerator

import serial
from serial.tools import list_ports

from edgewright.errors import TransportError

_LINE_BYTES = 4096
_WAIT_S = 0.2


def open_port(port: str, *, baud: int) -> serial.Serial:
    """A port that nobody else reads.

    Raises:
        TransportError: it is absent, or taken.
    """
    try:
        return serial.Serial(port, baud, timeout=_WAIT_S, exclusive=True)
    except (serial.SerialException, OSError) as error:
        known = " ".join(sorted(each.device for each in list_ports.comports())) or "none"
        raise TransportError(
            f"serial port {port}: {error}", hint=f"ports on this machine: {known}"
        ) from error


async def lines_of(port: serial.Serial) -> AsyncGenerator[list[bytes], None]:
    """Lines as they come, as many together as have arrived, without empty ones. The first after
    opening may be cut in two, and is left out; of an endless one no more than a part is kept.

    Raises:
        TransportError: the device was unplugged.
    """
    waiting = b""
    is_first = True
    while True:
        waiting += await asyncio.to_thread(_read, port)
        *lines, waiting = waiting.split(b"\n")
        waiting = waiting[:_LINE_BYTES]
        if lines and is_first:
            lines, is_first = lines[1:], False
        whole = [line.strip() for line in lines if line.strip()]
        if whole:
            yield whole


def _read(port: serial.Serial) -> bytes:
    """What has come, or nothing after a moment."""
    try:
        return bytes(port.read(max(port.in_waiting, 1)))
    except (serial.SerialException, OSError) as error:
        raise TransportError(f"serial port {port.port} is gone: {error}") from error
