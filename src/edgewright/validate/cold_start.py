"""From starting a server's process to its first answer, again and again."""

import msgspec
import numpy as np

from edgewright.clock import Clock
from edgewright.errors import TransportError
from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import quantile_interval
from edgewright.measure import Noise, NoiseReading, noise_between, read_noise
from edgewright.measure.load import LoadLimits
from edgewright.validate.load import Load
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served, Spawn
from edgewright.validate.soundness import noise_doubts

_LEAST_STARTS = 6
_MOST_STARTS = 50
_PATIENCE_S = 60.0
_POLL_S = 0.002


async def observe_cold_starts(order: Order, spawn: Spawn, load: Load, *, clock: Clock) -> Observed:
    """At least six starts (so that the median has an interval), more while there is time."""
    durations_ms: list[float] = []
    answers: dict[bytes, int] = {}
    end_s = clock.monotonic_s() + order.seconds
    before = read_noise()
    while len(durations_ms) < _LEAST_STARTS or (
        clock.monotonic_s() < end_s and len(durations_ms) < _MOST_STARTS
    ):
        start_s = clock.monotonic_s()
        with spawn() as served:
            body = await _first_answer(served, load, clock=clock)
            durations_ms.append((clock.monotonic_s() - start_s) * 1e3)
        answers[body] = answers.get(body, 0) + 1
    noise = _noise(before)
    slowest = Interval(float(np.max(durations_ms)))
    return Observed(
        how=(
            f"edgewright validate, scenario cold-start: {len(durations_ms)} starts of a new server "
            "process, each timed from starting it to its first answer, asked every 2 ms; the files "
            "were in the page cache"
        ),
        figures={
            "start to first right answer": quantile_interval(durations_ms, 0.5),
            "start to first right answer, slowest": slowest,
        },
        answers=(answers,),
        requests=len(durations_ms),
        noise=noise,
        noise_doubts=noise_doubts(noise, knows_server=True, limits=order.limits),
    )


def _noise(before: NoiseReading) -> Noise:
    """How long the servers waited for a core ended with them, so that share is unknown."""
    noise = noise_between(before, read_noise())
    return msgspec.structs.replace(noise, wait_share=None)


async def _first_answer(served: Served, load: Load, *, clock: Clock) -> bytes:
    """Ask until there is an answer; a refused connection or an error status is "not yet"."""
    limits = LoadLimits(seconds=_PATIENCE_S, requests=1, timeout_s=_PATIENCE_S)
    end_s = clock.monotonic_s() + _PATIENCE_S
    said = "nothing"
    first = msgspec.structs.replace(load, target=served.target, requests=load.requests[:1])
    while clock.monotonic_s() < end_s:
        try:
            result = await first.closed(limits, connections=1).run()
        except TransportError as error:
            said = error.message
        else:
            if result.answered:
                return next(iter(result.answers[0]))
            said = ", ".join(result.errors)
        await clock.sleep(_POLL_S)
    raise TransportError(
        f"the server gave no answer within {_PATIENCE_S:g} s of its start: {said}",
        hint="start it by hand and read what it says",
    )
