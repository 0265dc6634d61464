"""From the values of a stream file to sources and sinks that work.

The file of an adapter is imported when a stream file names its kind, so that nobody needs an extra
for what is not used.
"""

import importlib
import sys
from typing import Protocol, cast
from urllib.parse import urlsplit

import msgspec

from edgewright.chain.stream_tools import Tools
from edgewright.chain.streaming import Replay, table_source
from edgewright.device.streams import config
from edgewright.device.streams.base import Sink, Source
from edgewright.device.streams.bridge import Bridge
from edgewright.device.streams.forward import ForwardingSink
from edgewright.device.streams.http_delivery import JSON_LINES, HttpDelivery
from edgewright.device.streams.json_sink import JsonFileSink, JsonStreamSink
from edgewright.device.streams.line_protocol import line_of
from edgewright.device.streams.live import Feed
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.errors import InputError
from edgewright.transports.http1 import Client

_ADAPTERS: dict[type, str] = {
    config.AmqpSource: "stream_amqp",
    config.AmqpSink: "stream_amqp",
    config.BridgePart: "stream_mqtt",
    config.CameraSource: "stream_camera",
    config.CoapSource: "stream_coap",
    config.CommandSinkOrder: "stream_mqtt",
    config.MqttSink: "stream_mqtt",
    config.MqttSource: "stream_mqtt",
    config.SerialSource: "stream_serial",
    config.SqlSink: "stream_sqlite",
}


class _Adapter(Protocol):
    """What such a file offers, as far as its kind goes."""

    def feed(self, order: object, tools: Tools) -> Feed:
        """Messages as they come."""

    def source(self, order: object, plan: Plan | PicturePlan, tools: Tools) -> Source:
        """Where samples come from."""

    def sink(self, order: object, tools: Tools) -> Sink:
        """Where results go."""

    def bridge(self, order: object, tools: Tools) -> Bridge:
        """From one broker to another."""


def feed_of(order: config.FeedOrder, tools: Tools) -> Feed:
    """Messages as they come, for whoever reads no samples out of them.

    Raises:
        InputError: an address is wrong.
        ModuleNotFoundError: an extra is needed.
    """
    return _adapter(order).feed(order, tools)


def source_of(order: config.SourceOrder, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Where samples come from.

    Raises:
        InputError: the order and the model do not fit.
        ModuleNotFoundError: an extra is needed.
    """
    if not isinstance(order, config.FileSource):
        return _adapter(order).source(order, plan, tools)
    if isinstance(plan, PicturePlan):
        raise InputError("the model takes pictures", hint='use a source of kind "camera"')
    replay = Replay(
        path=tools.path(order.path),
        columns=order.columns,
        time_column=order.time,
        time_unit=order.time_unit,
        rate_hz=order.rate_hz,
        speed=order.speed,
    )
    return table_source(replay, plan, clock=tools.clock)


def sink_of(order: config.SinkOrder, tools: Tools) -> Sink:
    """Where results go.

    Raises:
        InputError: an address or a limit is wrong.
        ModuleNotFoundError: an extra is needed.
    """
    if isinstance(order, config.FileSink):
        if order.path == "-":
            return JsonStreamSink(sys.stdout.buffer)
        return JsonFileSink(tools.path(order.path))
    if isinstance(order, config.HttpSink | config.InfluxSink):
        return _posting(order, tools)
    return _adapter(order).sink(order, tools)


def bridge_of(order: config.BridgePart, tools: Tools) -> Bridge:
    """From one broker to another.

    Raises:
        InputError: an address is wrong, or both are the same.
        ModuleNotFoundError: an extra is needed.
    """
    return _adapter(order).bridge(order, tools)


def _adapter(order: object) -> _Adapter:
    return cast(_Adapter, importlib.import_module(f"edgewright.chain.{_ADAPTERS[type(order)]}"))


def _posting(order: config.HttpSink | config.InfluxSink, tools: Tools) -> ForwardingSink:
    parts = urlsplit(order.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise InputError(
            "the address of a sink is not understood", hint="http://HOST:PORT/PATH is one"
        )
    is_influx = isinstance(order, config.InfluxSink)
    headers = {"content-type": "text/plain; charset=utf-8" if is_influx else JSON_LINES}
    if order.token_file:
        scheme = "Token" if is_influx else "Bearer"
        headers["authorization"] = f"{scheme} {tools.secret(order.token_file)}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    base = f"{parts.scheme}://{parts.netloc}"
    delivery = HttpDelivery(Client(base), path, headers=headers)
    encode = line_of if is_influx else msgspec.json.encode
    return tools.forwarding(delivery, order.queue, base, encode=encode)
