"""The MQTT parts of a stream file; importing this file needs the extra `mqtt`."""

from edgewright.chain.stream_tools import Tools
from edgewright.device.streams import config
from edgewright.device.streams.base import Sink, Source
from edgewright.device.streams.bridge import Bridge
from edgewright.device.streams.command_sink import CommandSink
from edgewright.device.streams.forward import check_topic
from edgewright.device.streams.mqtt_actuator import MqttActuator
from edgewright.device.streams.mqtt_delivery import MqttDelivery
from edgewright.device.streams.mqtt_feed import MqttFeed
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.errors import InputError
from edgewright.transports import mqtt
from edgewright.transports.mqtt import parse_broker

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SESSION_BYTES = 65_535


def feed(order: config.MqttSource, tools: Tools) -> MqttFeed:
    """A broker's messages.

    Raises:
        InputError: the address, a topic or the session's name is wrong.
    """
    _check_listening(order.topics, order.session)
    broker = parse_broker(order.broker, **tools.login(order.login, order.broker))
    return MqttFeed(broker, order.topics, session=order.session)


def source(order: config.MqttSource, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Samples of a broker's messages."""
    return tools.live(feed(order, tools), order, plan, key_part=order.key_part)


def sink(order: config.MqttSink | config.CommandSinkOrder, tools: Tools) -> Sink:
    """Results to a broker, or commands to an actuator.

    Raises:
        InputError: the topic is none that a message can have.
    """
    broker = parse_broker(order.broker, **tools.login(order.login, order.broker))
    if isinstance(order, config.CommandSinkOrder):
        mqtt.check_topic(order.topic)
        return CommandSink(MqttActuator(broker, order.topic), order, clock=tools.clock)
    if not (bare := check_topic(order.topic)):
        raise InputError(
            f"topic {order.topic!r} may be empty", hint='put a word before it, as "results/{state}"'
        )
    mqtt.check_topic(bare)
    delivery = MqttDelivery(broker, retain=order.retain)
    return tools.forwarding(delivery, order.queue, repr(broker), topic=order.topic)


def bridge(order: config.BridgePart, tools: Tools) -> Bridge:
    """Messages of one broker to another.

    Raises:
        InputError: both are the same, and messages would go in a circle; or the prefix cannot be in
            a topic.
    """
    if order.prefix:
        mqtt.check_topic(order.prefix)
    _check_listening(order.topics, order.session)
    near = parse_broker(order.source, **tools.login(order.source_login, order.source))
    far = parse_broker(order.target, **tools.login(order.target_login, order.target))
    if _place(near) == _place(far):
        raise InputError(f"a bridge from {near!r} to itself sends its messages in a circle")
    return Bridge(
        MqttFeed(near, order.topics, session=order.session),
        tools.forwarder(MqttDelivery(far), order.queue, repr(far)),
        prefix=order.prefix,
        clock=tools.clock,
        patience_s=tools.patience_s,
    )


def _check_listening(topics: tuple[str, ...], session: str) -> None:
    mqtt.check_filters(topics)
    if len(session.encode()) > _SESSION_BYTES or "\0" in session:
        raise InputError(f"session {session[:40]!r}... is no name that MQTT can carry")


def _place(broker: mqtt.Broker) -> tuple[str, int]:
    return "localhost" if broker.host in _LOCAL else broker.host, broker.port
