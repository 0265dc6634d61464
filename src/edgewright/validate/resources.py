"""What the server uses while it works: looked at from the outside, a few times a second."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import EdgewrightError
from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import bootstrap_interval
from edgewright.measure import ProcessReading, read_tree
from edgewright.measure.procfs import PROC

MIB = 2**20

_LEAST_SAMPLES = 40
_SLOPE_POINTS = 150
_SLOPE_BLOCKS = 10
_TAIL_ROUNDS = 15
"""Resamples beyond the bounds."""


class ResourceSample(msgspec.Struct, frozen=True, kw_only=True):
    """One look, `at_s` seconds after the first."""

    at_s: float
    reading: ProcessReading


class ResourceWatch:
    """Samples a process tree from a thread until the block ends; nothing to see gives nothing.
    `also` is called at every look (counters of energy want to be read before they wrap).
    """

    def __init__(
        self,
        pid: int | None,
        *,
        interval_s: float = 0.5,
        root: Path = PROC,
        also: Callable[[], object] = lambda: None,
    ) -> None:
        self._also = also
        self.samples: list[ResourceSample] = []
        self._pid = pid
        self._interval_s = interval_s
        self._root = root
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="resource watch", daemon=True)
        self._start_s = time.perf_counter()

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._is_over.wait(self._interval_s):
            self._look()

    def _look(self) -> None:
        self._also()
        if self._pid is None:
            return
        with contextlib.suppress(EdgewrightError):
            reading = read_tree(self._pid, root=self._root)
            at_s = time.perf_counter() - self._start_s
            self.samples.append(ResourceSample(at_s=at_s, reading=reading))


def growth_figures(
    samples: Sequence[ResourceSample], *, rng: np.random.Generator, confidence: float = 0.95
) -> dict[str, Interval]:
    """What grew during a long run, its first tenth left out; nothing with fewer than 40 samples."""
    kept = samples[len(samples) // 10 :]
    if len(samples) < _LEAST_SAMPLES:
        return {}
    minutes = np.array([sample.at_s for sample in kept]) / 60
    megabytes = np.array([sample.reading.memory_bytes for sample in kept]) / MIB
    growth = slope_interval(minutes, megabytes, rng=rng, confidence=confidence)
    return {"memory growth": growth}


def slope_interval(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Interval:
    """The median slope between all pairs of points (Theil-Sen), bounded by resampling ten blocks.

    >>> x = np.arange(100.0)
    >>> interval = slope_interval(x, 2 * x + x % 3, rng=np.random.default_rng(0))
    >>> round(interval.value, 2), interval.low > 1.9, interval.high < 2.1
    (2.0, True, True)
    """
    places = np.arange(len(x), dtype=np.float64)

    def slope(drawn: NDArray[np.float64]) -> float:
        rows = drawn.astype(int)
        left, right = np.triu_indices(len(rows), 1)
        run = x[rows][right] - x[rows][left]
        rise = y[rows][right] - y[rows][left]
        return float(np.median(rise[run != 0] / run[run != 0]))

    thin = places[:: max(len(places) // _SLOPE_POINTS, 1)]
    blocks = (thin * _SLOPE_BLOCKS // len(x)).astype(int)
    rounds = round(_TAIL_ROUNDS / (1 - confidence))
    return bootstrap_interval(
        thin, statistic=slope, groups=blocks, confidence=confidence, rng=rng, rounds=rounds
    )
