"""Lines from a serial port: numbers between commas or tabs, or JSON objects (extra `serial`)."""

import asyncio
from collections.abc import AsyncGenerator

import serial
from serial.tools import list_ports

from edgewright.errors import TransportError, UnavailableError
from edgewright.workbench.data.capture.base import Message

_LINE_BYTES = 4096
_WAIT_S = 0.2


class SerialSource:
    """One line, one sample. The first line after opening may be cut in two, and is left out."""

    def __init__(self, port: str, *, baud: int) -> None:
        self._port = port
        self._baud = baud

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Lines until the device is unplugged."""
        with self._opened() as port:
            waiting = bytearray()
            is_first = True
            while True:
                for line in _lines(waiting, await asyncio.to_thread(self._read, port)):
                    if not is_first and line:
                        yield Message(topic=f"serial/{self._port}", payload=line)
                    is_first = False

    def _opened(self) -> serial.Serial:
        try:
            return serial.Serial(self._port, self._baud, timeout=_WAIT_S)
        except serial.SerialException as error:
            known = " ".join(sorted(port.device for port in list_ports.comports())) or "none"
            raise UnavailableError(
                f"serial port {self._port}: {error}", hint=f"ports on this machine: {known}"
            ) from error

    def _read(self, port: serial.Serial) -> bytes:
        """What has come, or nothing after a moment."""
        try:
            return bytes(port.read(max(port.in_waiting, 1)))
        except (serial.SerialException, OSError) as error:
            raise TransportError(
                f"serial port {self._port} is gone: {error}", hint="what was recorded is kept"
            ) from error


def _lines(waiting: bytearray, read: bytes) -> list[str]:
    """Whole lines; an endless one is cut off rather than kept."""
    waiting += read
    *whole, rest = bytes(waiting).split(b"\n")
    waiting[:] = rest[:_LINE_BYTES]
    return [line.decode(errors="replace").strip() for line in whole]
