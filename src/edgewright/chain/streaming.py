"""Streams and batch prediction, wired: which model, which source, which sinks."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from edgewright._fs import is_same_file
from edgewright.bundle import open_bundle, unpack
from edgewright.chain import ensembles
from edgewright.chain.engines import open_engine_file, open_model_of
from edgewright.chain.serving import open_servable
from edgewright.clock import Clock
from edgewright.device.serve import Model
from edgewright.device.streams import Plan, Sink, Stream, Summary, Wishes, plan_stream, run_stream
from edgewright.device.streams.base import Predictor
from edgewright.device.streams.config import KEPT_IN_MEMORY
from edgewright.device.streams.forward import Forwarder, ForwardingSink
from edgewright.device.streams.http_delivery import HttpDelivery
from edgewright.device.streams.json_sink import JsonFileSink, JsonStreamSink
from edgewright.device.streams.table_source import Columns, TableSource, read_header
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.steps import compile_checks
from edgewright.stores import MemoryQueue
from edgewright.transports.http1 import Client

_TIME_NAMES = ("time", "time_s", "timestamp", "t")


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A file of samples: which columns hold the model's channels and the time, and how fast it is
    replayed.
    """

    path: Path
    columns: tuple[str, ...] = ()
    time_column: str = ""
    time_unit: str = "s"
    rate_hz: float | None = None
    speed: float | None = None


class StreamOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `stream` was asked for. A sink is "-" (stdout), an http:// address or a file."""

    model: Path
    source: Replay
    sinks: tuple[str, ...] = ("-",)
    wishes: Wishes = Wishes()
    only_changes: bool = False


@contextlib.contextmanager
def opened_model(path: Path, *, threads: int = 1) -> Iterator[tuple[str, Predictor]]:
    """A bundle, a bare engine file or an ensemble, loaded, with its name; closed at the end.

    Raises:
        InputError: no such file, or not a model.
        UnavailableError: no engine for it is installed.
    """
    with contextlib.ExitStack() as stack:
        if path.suffix == ".ewb":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewright-")))
            bundle = unpack(path, folder / "bundle")
            name, model = bundle.manifest.name, open_model_of(bundle, threads=threads)
        elif path.is_dir():
            bundle = open_bundle(path)
            name, model = bundle.manifest.name, open_model_of(bundle, threads=threads)
        elif path.suffix == ensembles.SUFFIX:
            ensemble = open_servable(path)
            stack.callback(ensemble.model.close)
            yield ensemble.name, _Checked(ensemble.model)
            return
        else:
            name, model = path.stem, open_engine_file(path, None, threads=threads)
        stack.callback(model.close)
        yield name, model


class _Checked:
    """A model as a server opens it, with the check at the door that a server does itself."""

    def __init__(self, model: Model) -> None:
        self.contract = model.contract
        self._check = compile_checks(model.contract)
        self._predict = model.predict_checked

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self._check(arrays)
        return self._predict(arrays)


def stream_file(order: StreamOrder, *, clock: Clock) -> Summary:
    """Replay a file of samples through a model.

    Raises:
        InputError: the model takes no windows, or the file is no table of its channels.
        TransportError: a sink could not deliver; the message says how much was lost.
        DeviceError: the model cannot answer.
    """
    with opened_model(order.model) as (name, model):
        plan = plan_stream(model.contract, order.wishes)
        if order.only_changes and not plan.scores:
            raise InputError(
                f"model {name!r} has no output with one score per label, so nothing can change",
                hint="leave --changes-only out",
            )
        source = table_source(order.source, plan, clock=clock)
        return asyncio.run(_run(Stream(plan, model, model=name), source, order, clock))


def table_source(replay: Replay, plan: Plan, *, clock: Clock) -> TableSource:
    """The file's columns matched with the model's channels."""
    header = read_header(replay.path)
    time = replay.time_column
    if not time and not replay.rate_hz:
        time = next((name for name in _TIME_NAMES if name in header), "")
        if not time:
            raise InputError(
                f"{replay.path}: no time column among {list(header)}",
                hint="name it (--time-column; `time` in a stream file), or say the rate of rows "
                "that are evenly spaced (--source-rate-hz; `rate_hz`)",
            )
    columns = Columns(
        channels=_channel_columns(replay, plan, [name for name in header if name != time]),
        time=time,
        time_unit=replay.time_unit,
        rate_hz=replay.rate_hz,
    )
    return TableSource(replay.path, columns, clock=clock, speed=replay.speed)


def _channel_columns(replay: Replay, plan: Plan, header: list[str]) -> tuple[str, ...]:
    """By order when told so, else by name."""
    wanted = replay.columns or plan.channels
    if len(wanted) != len(plan.channels):
        raise InputError(
            f"{len(wanted)} columns were given, the model takes {len(plan.channels)} channels",
            hint=f"in this order: {', '.join(plan.channels)}",
        )
    if missing := [name for name in wanted if name not in header]:
        raise InputError(
            f"{replay.path}: no column for channel(s) {missing}, it has {header}",
            hint="name them (--columns; `columns` in a stream file) in the order "
            f"{','.join(plan.channels)}",
        )
    return wanted


def check_source_stays(read: Path, written: Path) -> None:
    """Refuse to append results to the samples that are read.

    Raises:
        InputError: both are one file.
    """
    if is_same_file(written, read):
        raise InputError(
            f"{read} is read, and results would be appended to it",
            hint="give the sink another path",
        )


async def _run(stream: Stream, source: TableSource, order: StreamOrder, clock: Clock) -> Summary:
    for text in order.sinks:
        check_source_stays(order.source.path, Path(text))
    sinks = [_sink(text, clock) for text in order.sinks]
    return await run_stream(stream, source, sinks, only_changes=order.only_changes)


def _sink(text: str, clock: Clock) -> Sink:
    if text == "-":
        return JsonStreamSink(sys.stdout.buffer)
    if text.startswith(("http://", "https://")):
        scheme, _, rest = text.partition("://")
        host, _, path = rest.partition("/")
        base = f"{scheme}://{host}"
        delivery = HttpDelivery(Client(base), f"/{path}")
        queue = MemoryQueue(limit=KEPT_IN_MEMORY)
        return ForwardingSink(Forwarder(queue, delivery, clock=clock, name=base))
    if "://" in text:
        raise InputError(
            f"sink {text!r}: unknown kind of address",
            hint="known: - (stdout), a file, http://HOST:PORT/PATH; others need a stream file",
        )
    return JsonFileSink(Path(text))
