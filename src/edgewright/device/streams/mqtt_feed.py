"""Messages of an MQTT broker (extra `mqtt`)."""

from collections.abc import AsyncGenerator, Sequence

from edgewright.device.streams.forward import Message
from edgewright.transports import mqtt


class MqttFeed:
    """Everything under some topic filters. With a session's name the broker keeps messages while we
    are away.
    """

    def __init__(self, broker: mqtt.Broker, topics: tuple[str, ...], *, session: str = "") -> None:
        self._broker = broker
        self._topics = topics
        self._session = mqtt.Session(name=session)

    @property
    def name(self) -> str:
        """The broker's address."""
        return repr(self._broker)

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Messages until the connection breaks; acknowledged when they were dealt with."""
        async with mqtt.connected(self._broker, self._session) as client:
            await mqtt.subscribe(client, self._topics)
            async for messages, acknowledge in mqtt.received(client):
                yield [Message(topic, payload) for topic, payload in messages]
                acknowledge()
