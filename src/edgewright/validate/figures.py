"""From what was recorded to named figures with intervals: the arithmetic between load and gates."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import (
    design_effect,
    quantile_interval,
    samples_for_quantile,
    student_quantile,
)
from edgewright.measure.load_result import ANSWERED, LoadResult
from edgewright.validate.resources import MIB, ResourceSample
from edgewright.validate.soundness import settled_at

QUANTILES = {
    "latency p50": 0.5,
    "latency p90": 0.9,
    "latency p95": 0.95,
    "latency p99": 0.99,
    "latency p99.9": 0.999,
}

UNITS = {
    **dict.fromkeys(QUANTILES, "ms"),
    "latency min": "ms",
    "latency mean": "ms",
    "latency max": "ms",
    "throughput": "req/s",
    "offered rate": "req/s",
    "peak rate": "req/s",
    "kept up": "%",
    "server cpu per request": "us",
    "server cores busy": "cores",
    "generator cores busy": "cores",
    "generator lag p95": "ms",
    "server memory peak": "MB",
    "server rss peak": "MB",
    "server threads": "threads",
    "server open files": "files",
    "memory growth": "MB/min",
    "open files growth": "files",
    "start to first right answer": "ms",
    "start to first right answer, slowest": "ms",
    "energy per request": "mJ",
    "power": "W",
    "hottest": "C",
    "throttled": "times",
    "swaps": "times",
    "swap time": "ms",
    "latency p95 while swapping": "ms",
    "longest gap between answers": "ms",
    "refused in the overload": "%",
    "accuracy": "%",
    "balanced accuracy": "%",
    "accuracy of the reference": "%",
    "accuracy drop": "points",
    "agreement with the reference": "%",
}

_UNITS_BY_START = {"latency p95 beside ": "ms", "found of class ": "%"}

_LATENCY_BLOCKS = 40
_RATE_BLOCKS = 20
_TIMELINE_SLICES = 60
_HISTOGRAM_BINS = 48


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the run; NaN-free: quantiles are None where nothing was answered."""

    at_s: float
    answered: int
    failed: int
    p50_ms: float | None = None
    p95_ms: float | None = None


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts between logarithmically spaced edges (one more edge than counts)."""

    edges_ms: tuple[float, ...]
    counts: tuple[int, ...]


def unit_of(name: str) -> str:
    """A figure's unit.

    >>> unit_of("latency p95"), unit_of("found of class 3")
    ('ms', '%')
    """
    known = UNITS.get(name)
    if known is not None:
        return known
    return next(unit for start, unit in _UNITS_BY_START.items() if name.startswith(start))


def latency_figures(
    latencies_s: NDArray[np.float64], *, confidence: float = 0.95
) -> dict[str, Interval]:
    """Quantiles in ms, their intervals widened for samples that depend on each other."""
    if len(latencies_s) == 0:
        return {}
    milliseconds = latencies_s * 1e3
    figures = {
        name: quantile_interval(
            milliseconds,
            q,
            confidence=confidence,
            design_effect=design_effect(milliseconds, q, blocks=_LATENCY_BLOCKS),
        )
        for name, q in QUANTILES.items()
    }
    return {
        **figures,
        "latency min": Interval(float(milliseconds.min())),
        "latency mean": Interval(float(milliseconds.mean())),
        "latency max": Interval(float(milliseconds.max())),
    }


def few_queries(latencies_s: NDArray[np.float64]) -> tuple[str, ...]:
    """Which quantiles are claimed with fewer requests than bound them from both sides, and how many
    would. Requests that depend on each other count as fewer.

    >>> few_queries(np.linspace(0.01, 0.02, 1000))[-1]
    'latency p99.9: 1000 requests are worth 998 independent ones, bounds need 3688: measure longer'
    """
    notes = []
    for name, q in QUANTILES.items() if len(latencies_s) else ():
        effect = design_effect(latencies_s, q, blocks=_LATENCY_BLOCKS)
        worth, needed = int(len(latencies_s) / effect), samples_for_quantile(q)
        if worth < needed:
            notes.append(
                f"{name}: {len(latencies_s)} requests are worth {worth} independent ones, bounds "
                f"need {needed}: measure longer"
            )
    return tuple(notes)


def throughput_figure(
    result: LoadResult, *, after_s: float = 0.0, confidence: float = 0.95
) -> Interval:
    """Successful answers a second, from the spread between blocks of time."""
    done_s = result.done_s[result.states == ANSWERED]
    span_s = result.wall_s - after_s
    if len(done_s) == 0 or span_s <= 0:
        return Interval(0.0)
    counts, _ = np.histogram(done_s, bins=_RATE_BLOCKS, range=(after_s, result.wall_s))
    rates = counts / (span_s / _RATE_BLOCKS)
    margin = student_quantile((1 + confidence) / 2, _RATE_BLOCKS - 1) * float(rates.std(ddof=1))
    mean = float(rates.mean())
    half = margin / _RATE_BLOCKS**0.5
    return Interval(mean, mean - half, mean + half, confidence)


def generator_figures(result: LoadResult) -> dict[str, Interval]:
    """How hard the generator itself worked, and how late it was."""
    figures = {"generator cores busy": Interval(result.client_share)}
    if len(result.lag_s):
        figures["generator lag p95"] = quantile_interval(result.lag_s * 1e3, 0.95)
    return figures


def resource_figures(samples: Sequence[ResourceSample], answered: int) -> dict[str, Interval]:
    """What the server used, from samples taken from the outside."""
    if len(samples) < 2:
        return {}
    first, last = samples[0], samples[-1]
    cpu_s = last.reading.cpu_s - first.reading.cpu_s
    figures = {
        "server memory peak": _exact(max(s.reading.memory_bytes for s in samples) / MIB),
        "server rss peak": _exact(max(s.reading.rss_bytes for s in samples) / MIB),
        "server threads": _exact(max(s.reading.threads for s in samples)),
        "server cores busy": Interval(cpu_s / max(last.at_s - first.at_s, 1e-9)),
    }
    if answered:
        figures["server cpu per request"] = Interval(cpu_s / answered * 1e6)
    files = [s.reading.open_files for s in samples if s.reading.open_files is not None]
    if files:
        figures["server open files"] = _exact(max(files))
    return figures


def timeline(result: LoadResult) -> tuple[Slice, ...]:
    """The run in at most 60 slices of equal length, by the moment requests were meant to leave."""
    if result.requests == 0 or result.wall_s <= 0:
        return ()
    edges = np.linspace(0.0, result.wall_s, _TIMELINE_SLICES + 1)
    places = np.clip(np.digitize(result.scheduled_s, edges) - 1, 0, _TIMELINE_SLICES - 1)
    is_answered = result.states == ANSWERED
    latencies_ms = (result.done_s - result.scheduled_s) * 1e3
    return tuple(
        _slice(float(edges[place]), latencies_ms[places == place], is_answered[places == place])
        for place in range(_TIMELINE_SLICES)
    )


def histogram(latencies_s: NDArray[np.float64]) -> Histogram:
    """Latencies counted in bins of equal ratio."""
    if len(latencies_s) == 0:
        return Histogram(edges_ms=(), counts=())
    milliseconds = np.maximum(latencies_s * 1e3, 1e-4)
    low, high = float(milliseconds.min()), float(milliseconds.max())
    edges = np.geomspace(low * 0.999, max(high, low * 1.01) * 1.001, _HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(milliseconds, bins=edges)
    return Histogram(
        edges_ms=tuple(float(edge) for edge in edges), counts=tuple(int(n) for n in counts)
    )


def warm_up_end_s(result: LoadResult) -> tuple[int, float]:
    """How many of the first requests, until which second, belong to warming up."""
    latencies_s = result.latencies_s()
    cut = settled_at(latencies_s)
    if cut == 0 or cut > len(latencies_s) // 4:
        return cut, 0.0
    return cut, float(result.moments_s()[cut])


def _slice(at_s: float, latencies_ms: NDArray[np.float64], is_answered: NDArray[np.bool_]) -> Slice:
    answered = latencies_ms[is_answered]
    failed = len(latencies_ms) - len(answered)
    if len(answered) == 0:
        return Slice(at_s=at_s, answered=0, failed=failed)
    p50, p95 = np.quantile(answered, [0.5, 0.95])
    return Slice(
        at_s=at_s, answered=len(answered), failed=failed, p50_ms=float(p50), p95_ms=float(p95)
    )


def _exact(value: float) -> Interval:
    return Interval(float(value), float(value), float(value))
