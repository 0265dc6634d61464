"""Messages of an MQTT broker (extra `mqtt`)."""

from collections.abc import AsyncGenerator

from edgewright.transports import mqtt
from edgewright.transports.line import PAYLOAD_BYTES
from edgewright.workbench.data.capture.base import Message


class MqttSource:
    """Everything under a topic filter. `url` is mqtt://[user:password@]host[:port], or mqtts://."""

    def __init__(self, url: str, *, topic: str) -> None:
        self._broker = mqtt.parse_broker(url)
        self._topic = topic

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Messages until the connection breaks."""
        async with mqtt.connected(self._broker, mqtt.Session()) as client:
            await mqtt.subscribe(client, (self._topic,))
            async for messages, acknowledge in mqtt.received(client):
                for topic, payload in messages:
                    if len(payload) > PAYLOAD_BYTES:
                        continue
                    yield Message(topic=topic, payload=payload.decode(errors="replace"))
                acknowledge()
