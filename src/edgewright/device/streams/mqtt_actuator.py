"""An actuator that listens to an MQTT topic (extra `mqtt`)."""

import contextlib
from collections.abc import AsyncIterator

from edgewright.device.streams.command_sink import Tell
from edgewright.transports import mqtt

_KEEPALIVE_S = 5


class MqttActuator:
    """The newest value is retained, and the safe one is our MQTT will."""

    def __init__(self, broker: mqtt.Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self.name = topic

    @contextlib.asynccontextmanager
    async def connected(self, safe: float) -> AsyncIterator[Tell]:
        """What tells it a value."""
        session = mqtt.Session(will=(self._topic, _text(safe)), keepalive_s=_KEEPALIVE_S)
        async with mqtt.connected(self._broker, session) as client:

            async def tell(value: float) -> None:
                await mqtt.publish_all(client, [(self._topic, _text(value))], retain=True)

            yield tell


def _text(value: float) -> bytes:
    return repr(float(value)).encode()
