"""Messages of an MQTT broker (extra `mqtt`)."""

from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import aiomqtt

from edgewright.errors import InputError, TransportError
from edgewright.workbench.data.capture.base import Message

_PORT = 1883
_PAYLOAD_BYTES = 2**20


class MqttSource:
    """Everything under a topic filter. `url` is mqtt://[user:password@]host[:port]."""

    def __init__(self, url: str, *, topic: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or not parts.hostname:
            raise InputError(f"{url}: no broker", hint="mqtt://host:1883 is one")
        self._parts = parts
        self._topic = topic

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Messages until the connection breaks."""
        parts = self._parts
        try:
            async with aiomqtt.Client(
                parts.hostname or "",
                parts.port or _PORT,
                username=parts.username,
                password=parts.password,
            ) as client:
                await client.subscribe(self._topic)
                async for each in client.messages:
                    payload: object = each.payload
                    if isinstance(payload, bytes | bytearray) and len(payload) <= _PAYLOAD_BYTES:
                        text = bytes(payload).decode(errors="replace")
                        yield Message(topic=str(each.topic), payload=text)
        except aiomqtt.MqttError as error:
            raise TransportError(
                f"broker {parts.hostname}:{parts.port or _PORT}: {error}",
                hint="what was recorded is kept; check host, port and password",
            ) from error
