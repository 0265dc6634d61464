"""Lines from a serial port: numbers between commas or tabs, or JSON objects (extra `serial`)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import serial

from edgewright.errors import TransportError, UnavailableError
from edgewright.transports.serial_line import lines_of, open_port
from edgewright.workbench.data.capture.base import Message


class SerialSource:
    """One line, one sample."""

    def __init__(self, port: str, *, baud: int) -> None:
        self._port = port
        self._baud = baud

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Lines until the device is unplugged."""
        with await asyncio.to_thread(self._opened) as port:
            async with aclosing(lines_of(port)) as batches:
                async for lines in batches:
                    for line in lines:
                        text = line.decode(errors="replace")
                        yield Message(topic=f"serial/{self._port}", payload=text)

    def _opened(self) -> serial.Serial:
        """A person stands beside it: a port that is absent is no reason to wait."""
        try:
            return open_port(self._port, baud=self._baud)
        except TransportError as error:
            raise UnavailableError(error.message, hint=error.hint) from error
