"""What the streams and bridges of a process do, as Prometheus text.

A stream's counts are those of all its sensors together: a label for each sensor would make as many
series as anybody can send keys.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from edgewright.device.serve.tally import Exposition
from edgewright.device.streams.base import Sink, Source
from edgewright.device.streams.bridge import Bridge
from edgewright.device.streams.forward import Forwarder, ForwardingSink
from edgewright.device.streams.live import LiveSource, Told
from edgewright.device.streams.resampler import Counts
from edgewright.device.streams.run import Spent, Streams, Summary
from edgewright.transports.http1 import Request, Response

T = TypeVar("T")

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Watched(Protocol):
    """A stream as far as its metrics go."""

    name: str
    model: str
    kind: str
    source: Source
    sinks: list[Sink]
    streams: Streams
    spent: Spent


class StreamPage:
    """The page of everything that was added."""

    def __init__(self) -> None:
        self._streams: list[Watched] = []
        self._bridges: list[Bridge] = []

    def add(self, streams: Sequence[Watched], bridges: Sequence[Bridge]) -> None:
        """Tell of these from now on."""
        self._streams += streams
        self._bridges += bridges

    def render(self) -> bytes:
        """The text."""
        page = Exposition()
        _render_sources(page, self._streams)
        _render_windows(page, self._streams)
        _render_sinks(page, self._streams)
        _render_bridges(page, self._bridges)
        return page.text()

    async def answer(self, request: Request) -> Response:
        """The handler of a process that has no other HTTP side."""
        if request.path == "/metrics":
            return Response(status=200, headers={"content-type": TEXT}, body=self.render())
        if request.path == "/livez":
            return Response(status=200, body=b'{"live":true}')
        return Response(status=404, body=b'{"error":"there are /metrics and /livez"}')


def _labels(stream: Watched) -> dict[str, str]:
    return {"stream": stream.name, "model": stream.model}


def _render_sources(page: Exposition, streams: list[Watched]) -> None:
    live = [
        (each.source.told, {**_labels(each), "source": each.kind})
        for each in streams
        if isinstance(each.source, LiveSource)
    ]
    _counters(
        page,
        "edgewright_stream",
        live,
        {
            "messages": ("Messages that came in.", lambda told: told.messages),
            "unreadable": ("Messages that were left out.", lambda told: told.unreadable),
            "reconnects": ("Connections of sources that broke.", lambda told: told.breaks),
        },
    )


def _render_windows(page: Exposition, streams: list[Watched]) -> None:
    done = [(each.streams.summary(), _labels(each)) for each in streams]
    _counters(
        page,
        "edgewright_stream",
        done,
        {
            "samples": ("Samples that came in.", lambda summary: summary.samples.samples),
            "windows": ("Windows that were full.", lambda summary: summary.windows),
            "answers": ("Windows that the model answered.", _answers),
            "refused": (
                "Windows without an answer: out of contract, or the model failed.",
                lambda summary: summary.refused,
            ),
            "changes": ("Changes of the held label.", lambda summary: summary.changes),
            "flushed": (
                "Cuts that emptied a window which had begun.",
                lambda summary: summary.flushed,
            ),
        },
    )
    name = "edgewright_stream_sample_faults_total"
    page.head(name, "counter", "Samples that were no good, and holes between samples, by reason.")
    for summary, labels in done:
        for fault in Counts.__struct_fields__:
            if fault != "samples":
                page.sample(name, getattr(summary.samples, fault), **labels, reason=fault)
    page.head("edgewright_stream_sensors", "gauge", "Sensors that are known.")
    for each in streams:
        page.sample("edgewright_stream_sensors", len(each.streams), **_labels(each))
    name = "edgewright_stream_seconds_total"
    page.head(name, "counter", "Time by stage: wait for the source, model, sinks.")
    for each in streams:
        for stage, seconds in each.spent.by_stage().items():
            page.sample(name, seconds, **_labels(each), stage=stage)


def _answers(summary: Summary) -> int:
    return summary.windows - summary.refused


def _render_sinks(page: Exposition, streams: list[Watched]) -> None:
    found = [
        (sink.forwarder, {**_labels(each), "sink": str(place)})
        for each in streams
        for place, sink in enumerate(each.sinks)
        if isinstance(sink, ForwardingSink)
    ]
    _render_queues(page, "edgewright_stream_sink", found)


def _render_bridges(page: Exposition, bridges: list[Bridge]) -> None:
    told: list[tuple[Told, dict[str, str]]] = []
    found: list[tuple[Forwarder, dict[str, str]]] = []
    for place, bridge in enumerate(bridges):
        told.append((bridge.told, {"bridge": str(place)}))
        found.append((bridge.forwarder, {"bridge": str(place)}))
    _counters(
        page,
        "edgewright_bridge",
        told,
        {
            "messages": ("Messages that came in.", lambda each: each.messages),
            "reconnects": ("Connections to the source that broke.", lambda each: each.breaks),
        },
    )
    _render_queues(page, "edgewright_bridge", found)


def _render_queues(
    page: Exposition, prefix: str, found: list[tuple[Forwarder, dict[str, str]]]
) -> None:
    page.head(f"{prefix}_waiting", "gauge", "Messages that wait to be delivered.")
    for forwarder, labels in found:
        page.sample(f"{prefix}_waiting", forwarder.waiting, **labels)
    page.head(f"{prefix}_away", "gauge", "1 while the other side cannot be reached.")
    for forwarder, labels in found:
        page.sample(f"{prefix}_away", forwarder.is_away, **labels)
    _counters(
        page,
        prefix,
        found,
        {
            "delivered": ("Messages that the other side has.", lambda each: each.delivered),
            "dropped": ("Messages that the queue's bound pushed out.", lambda each: each.dropped),
            "damaged": ("Messages that the queue's disk damaged.", lambda each: each.damaged),
            "rejected": ("Messages that the other side refused for good.", lambda e: e.refused),
        },
    )


def _counters(
    page: Exposition,
    prefix: str,
    found: Sequence[tuple[T, dict[str, str]]],
    counters: dict[str, tuple[str, Callable[[T], int]]],
) -> None:
    for word, (text, read) in counters.items():
        name = f"{prefix}_{word}_total"
        page.head(name, "counter", text)
        for each, labels in found:
            page.sample(name, read(each), **labels)
