"""Latencies of several callables on one noisy machine, compared fairly: interleaved rounds in
random order, so that a slow second hits all of them.
"""

import time
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import median_interval, quantile_interval

Clock = Callable[[], float]
"""Seconds so far."""


class LatencySamples(msgspec.Struct, frozen=True, kw_only=True):
    """What `interleaved` measured: seconds per call, in rounds; row r of every name is round r."""

    seconds: dict[str, NDArray[np.float64]]

    @property
    def rounds(self) -> int:
        return len(next(iter(self.seconds.values())))

    def median_ms(self, name: str) -> Interval:
        """The median with its order-statistics interval."""
        return self.quantile_ms(name, 0.5)

    def quantile_ms(self, name: str, q: float) -> Interval:
        return quantile_interval(self.seconds[name] * 1e3, q)

    def ratio(self, name: str, base: str, *, rng: np.random.Generator) -> Interval:
        """How many times slower `name` is than `base` (medians; rounds stay paired)."""
        pairs = self.seconds[name] / self.seconds[base]
        value = float(np.median(self.seconds[name]) / np.median(self.seconds[base]))
        spread = median_interval(pairs, rng=rng, rounds=500)
        shift = value - spread.value
        low = None if spread.low is None else spread.low + shift
        high = None if spread.high is None else spread.high + shift
        return Interval(value, low, high, spread.confidence)


def interleaved(
    callables: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 200,
    seconds: float | None = None,
    warm_up_rounds: int = 10,
    rng: np.random.Generator,
    clock: Clock | Mapping[str, Clock] = time.perf_counter,
) -> LatencySamples:
    """Call every callable once a round, in a new random order each, after warm-up rounds that do
    not count. Stops after `rounds`, or after `seconds` once two rounds are done. `clock`, one for
    all or one for each, says what is measured: the time that passes, or (`time.thread_time`) the
    time that this thread has a core.

    >>> samples = interleaved(
    ...     {"a": lambda: None, "b": lambda: sum(range(2000))}, rounds=50,
    ...     rng=np.random.default_rng(0))
    >>> samples.rounds, samples.ratio("b", "a", rng=np.random.default_rng(0)).value > 1
    (50, True)

    Raises:
        InputError: no callable, or fewer than two rounds.
    """
    if not callables or rounds < 2:
        raise InputError(
            f"{len(callables)} callables in {rounds} rounds", hint="one callable, two rounds, more"
        )
    names = list(callables)
    clocks = clock if isinstance(clock, Mapping) else dict.fromkeys(names, clock)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(warm_up_rounds):
        for name in names:
            callables[name]()
    start_s = time.perf_counter()
    for done in range(rounds):
        if seconds is not None and done >= 2 and time.perf_counter() - start_s > seconds:
            break
        for position in rng.permutation(len(names)):
            name = names[position]
            call, now_s = callables[name], clocks[name]
            before_s = now_s()
            call()
            measured[name].append(now_s() - before_s)
    return LatencySamples(seconds={name: np.array(values) for name, values in measured.items()})
