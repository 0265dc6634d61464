"""What a stream file says, as values; `docs/streams.md` explains every key.

A section that has kinds names its own (`kind = "mqtt"`). Passwords and tokens stand in files of
their own, never here.
"""

import math
from typing import Literal

import msgspec

from edgewright.device.streams.circles import circle_in
from edgewright.device.streams.command import CommandOrder
from edgewright.device.streams.debounce import Rule
from edgewright.device.streams.plan import Wishes
from edgewright.device.streams.reading import Reading, check_time_unit
from edgewright.device.streams.run import MOST_SENSORS

KEPT_IN_MEMORY = 10_000
_WHICH_SENSOR = {
    True: "the sensors of this source have names, and would drive {topic!r} in turn: say with "
    "`sensor` which one does",
    False: "the command sink {topic!r} names a `sensor`, but the source has no `key_part` to tell "
    "one from another",
}


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Login(_Part, frozen=True, kw_only=True):
    """Who we are at a broker, and whom we believe: PEM files for TLS, a password in a file."""

    user: str = ""
    password_file: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if self.key and not self.cert:
            raise ValueError("`key` without the `cert` that it belongs to")


class QueueOrder(_Part, frozen=True, kw_only=True):
    """A queue on disk. The key lies in a file, made when it is absent."""

    folder: str
    key_file: str
    limit_mb: float = 64.0

    def __post_init__(self) -> None:
        _check_above_zero(limit_mb=self.limit_mb)


class FileSource(_Part, frozen=True, kw_only=True, tag="file", tag_field="kind"):
    """A recording, replayed."""

    path: str
    columns: tuple[str, ...] = ()
    time: str = ""
    time_unit: str = "s"
    rate_hz: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        check_time_unit(self.time_unit)
        _check_above_zero(rate_hz=self.rate_hz, speed=self.speed)


class MqttSource(Reading, frozen=True, kw_only=True, tag="mqtt", tag_field="kind"):
    """Messages of a broker. A `session` stays there while this process is away."""

    broker: str
    topics: tuple[str, ...]
    session: str = ""
    key_part: int | None = None
    login: Login = Login()


class AmqpSource(Reading, frozen=True, kw_only=True, tag="amqp", tag_field="kind"):
    """Messages of an AMQP 0-9-1 queue, such as RabbitMQ's."""

    broker: str
    queue: str
    exchange: str = ""
    routing: str = "#"
    key_part: int | None = None
    login: Login = Login()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.queue:
            raise ValueError("`queue` is empty, expected its name")


class CoapSource(Reading, frozen=True, kw_only=True, tag="coap", tag_field="kind"):
    """A resource that is observed."""

    url: str


class SerialSource(Reading, frozen=True, kw_only=True, tag="serial", tag_field="kind"):
    """Lines of a serial port."""

    port: str
    baud: int = 115_200

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_above_zero(baud=self.baud)


class CameraSource(_Part, frozen=True, kw_only=True, tag="camera", tag_field="kind"):
    """A camera by number, or a video file; `every` n-th picture is taken."""

    device: str
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every is {self.every}, expected 1 or more")


FeedOrder = MqttSource | AmqpSource | CoapSource | SerialSource
SourceOrder = FeedOrder | FileSource | CameraSource


class FileSink(_Part, frozen=True, kw_only=True, tag="file", tag_field="kind"):
    """JSON lines, appended; "-" is stdout."""

    path: str


class HttpSink(_Part, frozen=True, kw_only=True, tag="http", tag_field="kind"):
    """JSON lines by POST."""

    url: str
    token_file: str = ""
    queue: QueueOrder | None = None


class InfluxSink(_Part, frozen=True, kw_only=True, tag="influx", tag_field="kind"):
    """InfluxDB line protocol by POST, to a time-series database."""

    url: str
    token_file: str = ""
    queue: QueueOrder | None = None


class MqttSink(_Part, frozen=True, kw_only=True, tag="mqtt", tag_field="kind"):
    """A message a result; the topic may hold {model}, {key} and {state}."""

    broker: str
    topic: str
    retain: bool = False
    login: Login = Login()
    queue: QueueOrder | None = None


class AmqpSink(_Part, frozen=True, kw_only=True, tag="amqp", tag_field="kind"):
    """A message a result, to an exchange ("" is the default one)."""

    broker: str
    routing: str
    exchange: str = ""
    login: Login = Login()
    queue: QueueOrder | None = None


class SqlSink(_Part, frozen=True, kw_only=True, tag="sqlite", tag_field="kind"):
    """Rows of a table in an SQLite file."""

    path: str
    table: str = "results"


class CommandSinkOrder(CommandOrder, frozen=True, kw_only=True, tag="command", tag_field="kind"):
    """Commands to an actuator over MQTT."""

    broker: str
    topic: str
    login: Login = Login()

    def __post_init__(self) -> None:
        super().__post_init__()
        if "{" in self.topic:
            raise ValueError(
                f"topic {self.topic!r}: commands go to one actuator, under its own name"
            )


SinkOrder = FileSink | HttpSink | InfluxSink | MqttSink | AmqpSink | SqlSink | CommandSinkOrder


class StreamPart(_Part, frozen=True, kw_only=True):
    """A source, a model, and where results go. `name` is for metrics; its place in the file when
    left out. Of more than so many `sensors`, those that were silent for longest are forgotten.
    """

    model: str
    name: str = ""
    source: SourceOrder
    sinks: tuple[SinkOrder, ...] = (FileSink(path="-"),)
    hop: int | None = None
    rate_hz: float | None = None
    max_gap_s: float = 0.25
    rule: Rule = Rule()
    changes_only: bool = False
    sensors: int = MOST_SENSORS

    def __post_init__(self) -> None:
        if self.sensors < 1:
            raise ValueError(f"sensors is {self.sensors}, expected 1 or more")
        Wishes(hop=self.hop, rate_hz=self.rate_hz, max_gap_s=self.max_gap_s)  # says what is wrong
        source = self.source
        has_sensors = isinstance(source, MqttSource | AmqpSource) and source.key_part is not None
        for sink in self.sinks:
            if isinstance(sink, CommandSinkOrder) and bool(sink.sensor) != has_sensors:
                raise ValueError(_WHICH_SENSOR[has_sensors].format(topic=sink.topic))


class BridgePart(_Part, frozen=True, kw_only=True):
    """Messages of one broker to another."""

    source: str
    topics: tuple[str, ...]
    target: str
    prefix: str = ""
    session: str = ""
    source_login: Login = Login()
    target_login: Login = Login()
    queue: QueueOrder | None = None


class ServePart(_Part, frozen=True, kw_only=True):
    """Serve the streams' models as well."""

    http: str = "127.0.0.1:8080"


class StreamFile(_Part, frozen=True, kw_only=True):
    """All that one process does."""

    stream: tuple[StreamPart, ...] = ()
    bridge: tuple[BridgePart, ...] = ()
    serve: ServePart | None = None
    metrics: str = ""
    """HOST:PORT of `/metrics`, where there is no `[serve]` whose page has it all."""
    patience_s: float = 5.0
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.patience_s < math.inf:
            raise ValueError(f"patience_s is {self.patience_s:g}, expected 0 or more")
        if not self.stream and not self.bridge:
            raise ValueError("there is neither a [[stream]] nor a [[bridge]]")
        if self.serve is not None and not self.stream:
            raise ValueError("[serve] has no model: there is no [[stream]]")
        if self.serve is not None and self.metrics:
            raise ValueError("[serve] has /metrics already: leave `metrics` out")
        names = [part.name for part in self.stream if part.name]
        if len(set(names)) < len(names):
            raise ValueError("two streams have the same name")
        self._check_sessions()
        if circle := circle_in(self.bridge):
            raise ValueError(
                f"bridge[{circle[0]}] and bridge[{circle[1]}] hand each other's messages back "
                "and forth without end: give them topics that do not meet"
            )

    def _check_sessions(self) -> None:
        sources = [part.source for part in self.stream if isinstance(part.source, MqttSource)]
        held = [(source.broker, source.session) for source in sources if source.session]
        held += [(part.source, part.session) for part in self.bridge if part.session]
        for place in held:
            if held.count(place) > 1:
                raise ValueError(
                    f"two parts hold the session {place[1]!r} at one broker, which would throw out "
                    "each in turn: give each its own"
                )


def _check_above_zero(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not 0 < number < math.inf:
            raise ValueError(f"{name} is {number:g}, expected above 0")
