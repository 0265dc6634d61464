"""The loop: samples in, windows by the contract, answers, what is held to be true, results out."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Protocol, TypeVar

import msgspec

from edgewright._tasks import ended
from edgewright.device.streams.base import Item, Picture, Predictor, Result, Samples, Sink, Source
from edgewright.device.streams.judge import Judge
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.device.streams.resampler import Counts, Resampler
from edgewright.device.streams.ring import Ring

logger = logging.getLogger(__name__)

MOST_SENSORS = 256
_CUTS = 10
"""Cuts without a window in between that are no accident any more."""

T = TypeVar("T")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream did."""

    samples: Counts = msgspec.field(default_factory=Counts)
    windows: int = 0
    refused: int = 0
    changes: int = 0
    flushed: int = 0


class Spent(msgspec.Struct):
    """Where a stream's time went: waiting for its source, in the model, handing over to sinks."""

    wait_s: float = 0.0
    model_s: float = 0.0
    sinks_s: float = 0.0

    def by_stage(self) -> dict[str, float]:
        """The same by name."""
        return {"wait": self.wait_s, "model": self.model_s, "sinks": self.sinks_s}


class Steps(Protocol):
    """What one sensor's samples go through."""

    def step(self, item: Item) -> list[Result]:
        """The results that the newest samples complete.

        Raises:
            DeviceError: the model cannot answer.
        """

    def summary(self) -> Summary:
        """What was done so far."""


class Stream:
    """One sensor, one model; `step` is the whole of it, and `run_stream` its loop."""

    def __init__(self, plan: Plan, predictor: Predictor, *, model: str, key: str = "") -> None:
        self._judge = Judge(plan, plan.rule, predictor, model=model, key=key)
        self._resampler = Resampler(rate_hz=plan.rate_hz, max_gap_s=plan.max_gap_s)
        self._ring = Ring(
            length=plan.length, hop=plan.hop, channels=len(plan.channels), rate_hz=plan.rate_hz
        )
        self._plan = plan
        self._name = f"{model} {key}".rstrip()
        self._is_told = False

    def step(self, item: Item) -> list[Result]:
        """The results of the windows that are full now."""
        assert isinstance(item, Samples)  # noqa: S101 - chain joins a source with its plan
        results = [
            self._judge.judge(window.values, start_s=window.start_s, end_s=window.end_s)
            for stretch in self._resampler.push(item)
            for window in self._ring.push(stretch)
        ]
        if not self._judge.judged and not self._is_told:
            self._tell_of_cuts(self._resampler.counts)
        return results

    def _tell_of_cuts(self, counts: Counts) -> None:
        """Who waits for a result that never comes should know why."""
        if counts.gaps + counts.steps_back < _CUTS:
            return
        self._is_told = True
        plan = self._plan
        logger.warning(
            "%s: %d samples made no window of %g s without a cut: %d gaps above max_gap_s (%g s), "
            "%d steps back in time; check the samples' time, its unit and max_gap_s",
            self._name,
            counts.samples,
            (plan.length - 1) / plan.rate_hz,
            counts.gaps,
            plan.max_gap_s,
            counts.steps_back,
        )

    def summary(self) -> Summary:
        """What was done so far."""
        return Summary(
            samples=self._resampler.counts,
            windows=self._judge.judged,
            refused=self._judge.refused,
            changes=self._judge.changes,
            flushed=self._ring.flushed,
        )


class PictureStream:
    """One camera, one model: each picture is a window of its own."""

    def __init__(
        self, plan: PicturePlan, predictor: Predictor, *, model: str, key: str = ""
    ) -> None:
        self._judge = Judge(plan, plan.rule, predictor, model=model, key=key)

    def step(self, item: Item) -> list[Result]:
        """The result of this picture."""
        assert isinstance(item, Picture)  # noqa: S101 - chain joins a source with its plan
        return [self._judge.judge(item.values, start_s=item.time_s, end_s=item.time_s)]

    def summary(self) -> Summary:
        """What was done so far."""
        judge = self._judge
        return Summary(windows=judge.judged, refused=judge.refused, changes=judge.changes)


class Streams:
    """A stream for each sensor of a source, so that no window mixes two. Of more sensors than
    `most`, the one that was silent for longest is forgotten.
    """

    def __init__(self, make: Callable[[str], Steps], *, most: int = MOST_SENSORS) -> None:
        self._make = make
        self._most = most
        self._streams: OrderedDict[str, Steps] = OrderedDict()
        self._forgotten = Summary()
        self._is_told = False

    def __len__(self) -> int:
        """Sensors that are known."""
        return len(self._streams)

    def step(self, item: Item) -> list[Result]:
        """The results of the item's sensor."""
        if item.key not in self._streams:
            if len(self._streams) >= self._most:
                self._forget()
            self._streams[item.key] = self._make(item.key)
        self._streams.move_to_end(item.key)
        return self._streams[item.key].step(item)

    def _forget(self) -> None:
        key, oldest = self._streams.popitem(last=False)
        if not self._is_told:
            logger.warning(
                "more than %d sensors: what %r had of a window is forgotten, and so on with each "
                "that is silent for longest; raise `sensors`",
                self._most,
                key[:80],
            )
        self._is_told = True
        self._forgotten = add_up([self._forgotten, oldest.summary()])

    def summary(self) -> Summary:
        """All sensors together; may be asked while another thread is in `step`."""
        return add_up(
            [self._forgotten, *(stream.summary() for stream in [*self._streams.values()])]
        )


def add_up(summaries: Sequence[Summary]) -> Summary:
    """All of them together."""
    counts = {
        name: sum(getattr(each.samples, name) for each in summaries)
        for name in Counts.__struct_fields__
    }
    return Summary(
        samples=Counts(**counts),
        windows=sum(each.windows for each in summaries),
        refused=sum(each.refused for each in summaries),
        changes=sum(each.changes for each in summaries),
        flushed=sum(each.flushed for each in summaries),
    )


async def run_stream(
    stream: Steps,
    source: Source,
    sinks: Sequence[Sink],
    *,
    only_changes: bool = False,
    stop: asyncio.Event | None = None,
    spent: Spent | None = None,
) -> Summary:
    """Run until the source ends or `stop` is set; what sinks keep is delivered before the function
    returns or raises. With `only_changes`, results that change nothing go to no sink but those that
    want every one. `spent` is kept up to date meanwhile.

    Raises:
        InputError, TransportError: the source cannot go on, or a sink could not deliver.
        DeviceError: the model cannot answer.
    """
    loop, spent = asyncio.get_running_loop(), spent or Spent()
    with ThreadPoolExecutor(1, thread_name_prefix="stream-model") as executor:
        try:
            for sink in sinks:
                await sink.start()
            async with aclosing(until(stop or asyncio.Event(), source.chunks())) as chunks:
                since_s = loop.time()
                async for item in chunks:
                    came_s = loop.time()
                    results = await loop.run_in_executor(executor, stream.step, item)
                    answered_s = loop.time()
                    changes = [each for each in results if each.changed]
                    for sink in sinks:
                        of_sink = changes if only_changes and not sink.wants_every else results
                        if of_sink:
                            await sink.write(of_sink)
                    spent.wait_s += came_s - since_s
                    spent.model_s += answered_s - came_s
                    since_s = loop.time()
                    spent.sinks_s += since_s - answered_s
        finally:
            await close_all(sinks)
    return stream.summary()


async def close_all(sinks: Sequence[Sink]) -> None:
    """Close every sink, whatever the others say.

    Raises:
        TransportError: the first that could not deliver.
    """
    outcomes = await asyncio.gather(*(sink.close() for sink in sinks), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def until(stop: asyncio.Event, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Items until `stop` is set."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            coming = asyncio.ensure_future(anext(items))
            try:
                await asyncio.wait([coming, stopping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await ended(coming)
            if coming.cancelled():
                return
            try:
                yield coming.result()
            except StopAsyncIteration:
                return
    finally:
        stopping.cancel()
        await items.aclose()
