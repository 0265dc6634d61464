"""The AMQP parts of a stream file; importing this file needs the extra `amqp`."""

from edgewright.chain.stream_tools import Tools
from edgewright.device.streams import config
from edgewright.device.streams.amqp_delivery import AmqpDelivery
from edgewright.device.streams.amqp_feed import AmqpFeed
from edgewright.device.streams.base import Sink, Source
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.transports.amqp import parse_host


def feed(order: config.AmqpSource, tools: Tools) -> AmqpFeed:
    """A queue's messages."""
    host = parse_host(order.broker, **tools.login(order.login, order.broker))
    return AmqpFeed(host, order.queue, exchange=order.exchange, routing=order.routing)


def source(order: config.AmqpSource, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Samples of a queue's messages."""
    return tools.live(feed(order, tools), order, plan, key_part=order.key_part)


def sink(order: config.AmqpSink, tools: Tools) -> Sink:
    """Results to an exchange."""
    host = parse_host(order.broker, **tools.login(order.login, order.broker))
    delivery = AmqpDelivery(host, exchange=order.exchange, keys_differ="{" in order.routing)
    return tools.forwarding(delivery, order.queue, repr(host), topic=order.routing)
