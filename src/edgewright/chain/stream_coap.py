"""The CoAP part of a stream file; importing this file needs the extra `coap`."""

from edgewright.chain.stream_tools import Tools
from edgewright.device.streams import config
from edgewright.device.streams.base import Source
from edgewright.device.streams.coap_feed import CoapFeed
from edgewright.device.streams.plan import PicturePlan, Plan


def feed(order: config.CoapSource, _: Tools) -> CoapFeed:
    """An observed resource."""
    return CoapFeed(order.url)


def source(order: config.CoapSource, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Samples of an observed resource."""
    return tools.live(feed(order, tools), order, plan)
