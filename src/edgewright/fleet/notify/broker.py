"""Notices as messages of an MQTT broker; importing this file needs the extra `mqtt`."""

import msgspec

from edgewright.fleet.notify.base import Parcel
from edgewright.fleet.notify.web import context_for
from edgewright.transports.mqtt import Broker, Session, connected, publish_all

_encoder = msgspec.json.Encoder()


class MqttNotifier:
    """The notice as JSON under `topic/KIND`, at least once; not retained."""

    async def deliver(self, parcel: Parcel, *, at_s: float) -> None:
        destination = parcel.destination
        broker = Broker(
            scheme="mqtts" if destination.has_tls else "mqtt",
            host=parcel.address,
            port=destination.port,
            user=destination.user or None,
            password=parcel.secret or None,
            tls=context_for(destination.host) if destination.has_tls else None,
        )
        topic = f"{destination.path}/{parcel.notice.topic}"
        async with connected(broker, Session()) as client:
            await publish_all(client, [(topic, _encoder.encode(parcel.notice))])
