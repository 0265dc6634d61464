"""The serial part of a stream file; importing this file needs the extra `serial`."""

from edgewright.chain.stream_tools import Tools
from edgewright.device.streams import config
from edgewright.device.streams.base import Source
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.device.streams.serial_feed import SerialFeed


def feed(order: config.SerialSource, _: Tools) -> SerialFeed:
    """A port's lines."""
    return SerialFeed(order.port, baud=order.baud)


def source(order: config.SerialSource, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Samples of a port's lines."""
    return tools.live(feed(order, tools), order, plan)
