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


def feed(order: config.MqttSource, tools: Tools) -> MqttFeed:
    """A broker's messages."""
    broker = parse_broker(order.broker, **tools.login(order.login))
    return MqttFeed(broker, order.topics, session=order.session)


def source(order: config.MqttSource, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Samples of a broker's messages."""
    return tools.live(feed(order, tools), order, plan, key_part=order.key_part)


def sink(order: config.MqttSink | config.CommandSinkOrder, tools: Tools) -> Sink:
    """Results to a broker, or commands to an actuator.

    Raises:
        InputError: the topic is none that a message can have.
    """
    broker = parse_broker(order.broker, **tools.login(order.login))
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
    near = parse_broker(order.source, **tools.login(order.source_login))
    far = parse_broker(order.target, **tools.login(order.target_login))
    if (near.host, near.port) == (far.host, far.port):
        raise InputError(f"a bridge from {near!r} to itself sends its messages in a circle")
    return Bridge(
        MqttFeed(near, order.topics, session=order.session),
        tools.forwarder(MqttDelivery(far), order.queue, repr(far)),
        prefix=order.prefix,
        clock=tools.clock,
        patience_s=tools.patience_s,
    )
