"""The page of what streams and bridges do: each count, by stream, while the other side is away."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgewright.chain.stream_gateway import run_stream_file
from edgewright.chain.stream_metrics import StreamPage
from edgewright.contract.decoding import decode_toml
from edgewright.device.streams.bridge import Bridge
from edgewright.device.streams.config import StreamFile
from edgewright.device.streams.forward import Forwarder, ForwardingSink, Message
from edgewright.device.streams.live import LiveSource
from edgewright.device.streams.reading import Reading, reader_of
from edgewright.device.streams.run import Spent, Streams, Summary, run_stream
from edgewright.errors import InputError, TransportError
from edgewright.stores import MemoryQueue
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Request


class TornFeed:
    """Two messages, then the line breaks once, then one message more."""

    name = "torn"

    def __init__(self) -> None:
        self.connections = 0

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        self.connections += 1
        yield [Message("imu", b'{"ax": 1}'), Message("imu", b"?")][: 3 - self.connections]
        if self.connections == 1:
            raise TransportError("the line is cut")


class Away:
    """Another side that cannot be reached."""

    async def deliver(self, messages: Sequence[Message]) -> None:
        raise TransportError("nobody is there")

    async def close(self) -> None:
        pass


class Steps:
    """Every sample is a result; the second of them is out of contract."""

    def __init__(self) -> None:
        self.windows = 0

    def step(self, _: Any) -> list[Any]:
        from edgewright.device.streams.base import Result

        self.windows += 1
        return [Result(model="m", start_s=0, end_s=self.windows)]

    def summary(self) -> Summary:
        return Summary(windows=self.windows, refused=self.windows // 2)


def test_counts_of_each_stream_are_on_the_page() -> None:
    clock = FakeClock()
    forwarder = Forwarder(MemoryQueue(limit=1), Away(), clock=clock, name="away")
    sink = ForwardingSink(forwarder, patience_s=0)
    reader = reader_of(Reading(), {"ax": ""})
    source = LiveSource(TornFeed(), reader, clock=clock)
    streams, spent, page = Streams(lambda _: Steps()), Spent(), StreamPage()
    watched: Any = SimpleNamespace(name="left", model="m", kind="mqtt", source=source,
                                   sinks=[sink], streams=streams, spent=spent)  # fmt: skip
    bridge = Bridge(TornFeed(), Forwarder(MemoryQueue(limit=9), Away(), clock=clock, name="far"),
                    prefix="", clock=clock, patience_s=0)  # fmt: skip
    page.add([watched], [bridge])

    async def run() -> None:
        with pytest.raises(TransportError, match="2 of 2 messages were not delivered"):
            await run_stream(streams, source, [sink], spent=spent)

    asyncio.run(run())
    text = page.render().decode()
    labels = 'stream="left",model="m"'
    for line in (
        f'edgewright_stream_messages_total{{{labels},source="mqtt"}} 3',
        f'edgewright_stream_unreadable_total{{{labels},source="mqtt"}} 1',
        f'edgewright_stream_reconnects_total{{{labels},source="mqtt"}} 1',
        f"edgewright_stream_windows_total{{{labels}}} 2",
        f"edgewright_stream_answers_total{{{labels}}} 1",
        f"edgewright_stream_refused_total{{{labels}}} 1",
        f'edgewright_stream_sink_waiting{{{labels},sink="0"}} 1',
        f'edgewright_stream_sink_dropped_total{{{labels},sink="0"}} 1',
        f'edgewright_stream_sink_damaged_total{{{labels},sink="0"}} 0',
        f'edgewright_stream_sink_away{{{labels},sink="0"}} 1',
        'edgewright_bridge_messages_total{bridge="0"} 0',
    ):
        assert f"{line}\n" in text, text
    stages = spent.by_stage()
    assert set(stages) == {"wait", "model", "sinks"}
    assert stages["model"] > 0


def test_process_without_a_server_answers_metrics_and_health_alone() -> None:
    async def ask(path: str) -> tuple[int, bytes]:
        answer = await StreamPage().answer(Request(method="GET", path=path))
        return answer.status, answer.body

    status, text = asyncio.run(ask("/metrics"))
    assert status == 200
    assert b"# TYPE edgewright_stream_windows_total counter\n" in text
    assert asyncio.run(ask("/livez"))[0] == 200
    assert asyncio.run(ask("/v2"))[0] == 404


STREAM = '[[stream]]\nmodel = "m.ewb"\nname = "a"\nsource = { kind = "file", path = "x.csv" }\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f'metrics = "127.0.0.1:0"\n[serve]\n{STREAM}', "has /metrics already"),
        (STREAM * 2, "two streams have the same name"),
    ],
)
def test_contradictions_about_metrics_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        decode_toml(text.encode(), StreamFile, source="x.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f'metrics = "127.0.0.1:99999"\n{STREAM}', "metrics '127.0.0.1:99999' is not HOST:PORT"),
        (f'metrics = "127.0.0.1"\n{STREAM}', "metrics '127.0.0.1' is not HOST:PORT"),
        (f'[serve]\nhttp = "h:-1"\n{STREAM}', r"\[serve\] http 'h:-1' is not HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_starts(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"x.toml: {complaint}"):
        run_stream_file(path, clock=FakeClock(), on_ready=lambda _: None)
