"""Lines of a serial port (extra `serial`)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import serial
from serial.tools import list_ports

from edgewright.device.streams.forward import Message
from edgewright.errors import TransportError

_LINE_BYTES = 4096
_WAIT_S = 0.2


class SerialFeed:
    """One line, one message. The first one after opening may be cut in two, and is left out; a
    port that is unplugged is waited for.
    """

    def __init__(self, port: str, *, baud: int) -> None:
        self._port = port
        self._baud = baud

    @property
    def name(self) -> str:
        """The port."""
        return f"serial port {self._port}"

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Lines until the device is unplugged."""
        port = await asyncio.to_thread(self._opened)
        try:
            waiting = b""
            is_first = True
            while True:
                waiting += await asyncio.to_thread(self._read, port)
                *lines, waiting = waiting.split(b"\n")
                waiting = waiting[:_LINE_BYTES]
                if lines and is_first:
                    lines, is_first = lines[1:], False
                whole = [line.strip() for line in lines if line.strip()]
                if whole:
                    yield [Message(self._port, line) for line in whole]
        finally:
            port.close()

    def _opened(self) -> serial.Serial:
        try:
            return serial.Serial(self._port, self._baud, timeout=_WAIT_S, exclusive=True)
        except (serial.SerialException, OSError) as error:
            known = " ".join(sorted(port.device for port in list_ports.comports())) or "none"
            raise TransportError(
                f"{self.name}: {error}", hint=f"ports on this machine: {known}"
            ) from error

    def _read(self, port: serial.Serial) -> bytes:
        """What has come, or nothing after a moment."""
        try:
            return bytes(port.read(max(port.in_waiting, 1)))
        except (serial.SerialException, OSError) as error:
            raise TransportError(f"{self.name} is gone: {error}") from error
