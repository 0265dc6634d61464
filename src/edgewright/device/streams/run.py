"""The loop: samples in, windows by the contract, answers, what is held to be true, results out."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from edgewright.device.streams.base import Predictor, Result, Samples, Sink, Source
from edgewright.device.streams.debounce import Held, advance
from edgewright.device.streams.plan import Plan, read_answer
from edgewright.device.streams.resampler import Counts, Resampler
from edgewright.device.streams.ring import Ring, Window
from edgewright.errors import InputError


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream did."""

    samples: Counts
    windows: int
    refused: int
    changes: int
    flushed: int


class Stream:
    """One source, one model; `step` is the whole of it, and `run_stream` its loop."""

    def __init__(self, plan: Plan, predictor: Predictor, *, model: str) -> None:
        self._plan = plan
        self._predictor = predictor
        self._model = model
        self._resampler = Resampler(rate_hz=plan.rate_hz, max_gap_s=plan.max_gap_s)
        self._ring = Ring(
            length=plan.length, hop=plan.hop, channels=len(plan.channels), rate_hz=plan.rate_hz
        )
        self._held = Held()
        self._windows = self._refused = self._changes = 0

    def step(self, samples: Samples) -> list[Result]:
        """The results that the newest samples complete.

        Raises:
            DeviceError: the model cannot answer.
        """
        results = []
        for stretch in self._resampler.push(samples):
            results += [self._judge(window) for window in self._ring.push(stretch)]
        return results

    def summary(self) -> Summary:
        """What was done so far."""
        return Summary(
            samples=self._resampler.counts,
            windows=self._windows,
            refused=self._refused,
            changes=self._changes,
            flushed=self._ring.flushed,
        )

    def _judge(self, window: Window) -> Result:
        self._windows += 1
        label, score, refused, outputs = "", None, "", {}
        try:
            outputs = self._predictor.predict(
                {self._plan.tensor: window.values[None].astype(self._plan.dtype)}
            )
            label, score = read_answer(outputs, self._plan)
        except InputError as error:
            refused = str(error)
            self._refused += 1
        before = self._held.label
        self._held = advance(self._held, label=label, score=score or 0.0, rule=self._plan.rule)
        changed = self._held.label != before
        self._changes += changed
        return Result(
            model=self._model,
            start_s=window.start_s,
            end_s=window.end_s,
            label=label,
            score=score,
            state=self._held.label,
            changed=changed,
            refused=refused,
            outputs={} if label else {name: array[0].tolist() for name, array in outputs.items()},
        )


async def run_stream(
    stream: Stream, source: Source, sinks: Sequence[Sink], *, only_changes: bool = False
) -> Summary:
    """Run until the source ends; what sinks keep is delivered before the function returns or
    raises.

    Raises:
        InputError, TransportError: the source cannot go on, or a sink could not deliver.
        DeviceError: the model cannot answer.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="stream-model") as executor:
        try:
            async for samples in source.chunks():
                results = await loop.run_in_executor(executor, stream.step, samples)
                wanted = [r for r in results if r.changed or not only_changes]
                if wanted:
                    for sink in sinks:
                        await sink.write(wanted)
        finally:
            for sink in sinks:
                await sink.close()
    return stream.summary()
