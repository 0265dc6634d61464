"""What a stream file says, run: streams, bridges, and a server beside them, in one process."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.chain.serving import default_threads, open_servable
from edgewright.chain.stream_metrics import StreamPage
from edgewright.chain.stream_parts import bridge_of, sink_of, source_of
from edgewright.chain.stream_tools import Tools
from edgewright.chain.streaming import check_source_stays, opened_model
from edgewright.clock import Clock
from edgewright.contract import Contract, decode_toml
from edgewright.device.serve import InferenceServer, ServeOptions
from edgewright.device.serve.models import Models
from edgewright.device.streams import Summary, Wishes, plan_stream, run_stream
from edgewright.device.streams.base import Array, Predictor, Sink
from edgewright.device.streams.bridge import Bridge, BridgeSummary
from edgewright.device.streams.command import check_command
from edgewright.device.streams.config import (
    CommandSinkOrder,
    FileSink,
    FileSource,
    StreamFile,
    StreamPart,
)
from edgewright.device.streams.plan import PicturePlan, Plan, plan_pictures, takes_pictures
from edgewright.device.streams.run import PictureStream, Spent, Steps, Stream, Streams
from edgewright.errors import DeviceError, InputError
from edgewright.transports.address import parse_address
from edgewright.transports.http1 import start_server

_LIMIT_BYTES = 1 << 20


class GatewaySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What each part did, in the file's order."""

    streams: tuple[Summary, ...] = ()
    bridges: tuple[BridgeSummary, ...] = ()


OnReady = Callable[[Sequence[str]], None]
"""Told the addresses that are served, when everything is set up."""


class ServedPredictor:
    """The version of a model that a stream names, as a server has it now."""

    def __init__(self, models: Models, name: str, version: str) -> None:
        self._models = models
        self._which = name, version

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""
        return self._models.find(*self._which).contract

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The contract's outputs for one request."""
        served = self._models.find(*self._which)
        served.queue.check(arrays)
        try:
            return served.servable.model.predict_checked(arrays)
        except DeviceError:
            if self._models.find(*self._which) is served:
                raise
            return self.predict(arrays)  # it was let go in between


def read_stream_file(path: Path) -> StreamFile:
    """The values of a stream file.

    Raises:
        InputError: it is no such file; the message names the key.
    """
    return decode_toml(read_limited(path, limit_bytes=_LIMIT_BYTES), StreamFile, source=str(path))


def run_stream_file(path: Path, *, clock: Clock, on_ready: OnReady) -> GatewaySummary:
    """Run everything until its sources end, or SIGTERM or SIGINT ends it; what waits is delivered
    before.

    Raises:
        EdgewrightError: a part cannot be set up, or cannot go on.
    """
    order = read_stream_file(path)
    address = _address(order, path)
    with contextlib.ExitStack() as stack:
        predictors = _opened(order, path.parent, stack) if order.serve is None else {}
        return asyncio.run(
            _run(order, address, path.parent, predictors, clock=clock, on_ready=on_ready)
        )


def _address(order: StreamFile, path: Path) -> tuple[str, int] | None:
    """Where to listen, if anywhere."""
    if order.serve is not None:
        return parse_address(order.serve.http, what=f"{path}: [serve] http")
    return parse_address(order.metrics, what=f"{path}: metrics") if order.metrics else None


def _opened(
    order: StreamFile, folder: Path, stack: contextlib.ExitStack
) -> dict[str, tuple[str, Predictor]]:
    """Each model once, by its path, with its name."""
    return {
        text: stack.enter_context(opened_model(folder / text))
        for text in dict.fromkeys(part.model for part in order.stream)
    }


async def _run(
    order: StreamFile,
    address: tuple[str, int] | None,
    folder: Path,
    predictors: dict[str, tuple[str, Predictor]],
    *,
    clock: Clock,
    on_ready: OnReady,
) -> GatewaySummary:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        addresses: Sequence[str] = ()
        page = StreamPage()
        if address is not None and order.serve is not None:
            server = _server(address, clock, page)
            stack.push_async_callback(server.close)
            predictors = await _served(server, order, folder)
            addresses = server.addresses
        elif address is not None:
            host, port = address
            metrics = await start_server(page.answer, host=host, port=port, clock=clock)
            stack.push_async_callback(metrics.close)
            addresses = [metrics.address]
        tools = Tools(folder, clock=clock, patience_s=order.patience_s)
        streams = []
        for place, part in enumerate(order.stream):
            with _of_part(f"stream[{place}]", several=len(order.stream) > 1):
                name = part.name or str(place)
                streams.append(_Running(part, name, predictors[part.model], tools))
        bridges = [bridge_of(part, tools) for part in order.bridge]
        page.add(streams, bridges)
        on_ready(addresses)
        return await _until_done(streams, bridges, stop)


@contextlib.contextmanager
def _of_part(place: str, *, several: bool) -> Iterator[None]:
    """Say of several streams which one is wrong."""
    try:
        yield
    except InputError as error:
        if not several:
            raise
        raise InputError(f"{place}: {error.message}", hint=error.hint) from error


async def _until_done(
    streams: "list[_Running]", bridges: list[Bridge], stop: asyncio.Event
) -> GatewaySummary:
    """Until `stop`, or until every stream has come to its end."""
    try:
        async with asyncio.TaskGroup() as group:
            bridging = [group.create_task(bridge.run(stop)) for bridge in bridges]
            running = [group.create_task(stream.run(stop)) for stream in streams]
            if running:
                await asyncio.wait(running)
                stop.set()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return GatewaySummary(
        streams=tuple(task.result() for task in running),
        bridges=tuple(task.result() for task in bridging),
    )


def _check_source_stays(part: StreamPart, tools: Tools) -> None:
    if not isinstance(part.source, FileSource):
        return
    read = tools.path(part.source.path)
    for sink in part.sinks:
        if isinstance(sink, FileSink):
            check_source_stays(read, tools.path(sink.path))


class _Running:
    """One stream of the file, set up."""

    def __init__(
        self, part: StreamPart, name: str, model: tuple[str, Predictor], tools: Tools
    ) -> None:
        self.name = name
        self.model, predictor = model
        wishes = Wishes(
            hop=part.hop, rate_hz=part.rate_hz, max_gap_s=part.max_gap_s, rule=part.rule
        )
        plan = _plan(predictor.contract, wishes)
        if part.changes_only and not plan.scores:
            raise InputError(
                f"model {self.model!r} has no output with one score per label, so nothing can "
                "change",
                hint="leave changes_only out",
            )
        _check_source_stays(part, tools)
        for sink in part.sinks:
            if isinstance(sink, CommandSinkOrder):
                check_command(sink, predictor.contract, plan)
        self._part = part
        self.kind = str(part.source.__struct_config__.tag)
        self.source = source_of(part.source, plan, tools)
        self.sinks: list[Sink] = [sink_of(order, tools) for order in part.sinks]
        self.streams = Streams(partial(_stream_of, plan, predictor, self.model), most=part.sensors)
        self.spent = Spent()

    async def run(self, stop: asyncio.Event) -> Summary:
        """Until its source ends or `stop` is set."""
        return await run_stream(
            self.streams,
            self.source,
            self.sinks,
            only_changes=self._part.changes_only,
            stop=stop,
            spent=self.spent,
        )


def _plan(contract: Contract, wishes: Wishes) -> Plan | PicturePlan:
    if takes_pictures(contract):
        return plan_pictures(contract, wishes)
    return plan_stream(contract, wishes)


def _stream_of(plan: Plan | PicturePlan, predictor: Predictor, model: str, key: str) -> Steps:
    if isinstance(plan, PicturePlan):
        return PictureStream(plan, predictor, model=model, key=key)
    return Stream(plan, predictor, model=model, key=key)


def _server(address: tuple[str, int], clock: Clock, page: StreamPage) -> InferenceServer:
    host, port = address
    options = ServeOptions(host=host, port=port, threads=default_threads())
    return InferenceServer(
        open_servable, options, clock=clock, timer=time.perf_counter, pages=[page.render]
    )


async def _served(
    server: InferenceServer, order: StreamFile, folder: Path
) -> dict[str, tuple[str, Predictor]]:
    """Listen, load each model once, and hand out the models as they are at any moment.

    Raises:
        InputError: two of them are the same version of one name, and would be one for the server.
    """
    await server.start([])
    found: dict[str, tuple[str, Predictor]] = {}
    places: dict[tuple[str, str], str] = {}
    for text in dict.fromkeys(part.model for part in order.stream):
        model = await server.models.load(folder / text, keep=True)
        which = model.name, model.version
        if which in places:
            raise InputError(
                f"{places[which]} and {text} are both version {which[1]!r} of {which[0]!r}, and a "
                "server tells models by these",
                hint="build one with another version, or leave [serve] out",
            )
        places[which] = text
        found[text] = model.name, ServedPredictor(server.models, *which)
    return found
