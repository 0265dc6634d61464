"""Lines of a serial port (extra `serial`)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from edgewright.device.streams.forward import Message
from edgewright.transports.serial_line import lines_of, open_port


class SerialFeed:
    """One line, one message; a port that is unplugged is waited for."""

    def __init__(self, port: str, *, baud: int) -> None:
        self._port = port
        self._baud = baud

    @property
    def name(self) -> str:
        """The port."""
        return f"serial port {self._port}"

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Lines until the device is unplugged."""
        with await asyncio.to_thread(open_port, self._port, baud=self._baud) as port:
            async with aclosing(lines_of(port)) as batches:
                async for lines in batches:
                    yield [Message(self._port, line) for line in lines]
