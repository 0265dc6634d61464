"""How long a model will take and how much memory it will need, said before it is deployed, from
measurements of other models on the same machine. Pure.

Time is a sum with a price for each kind of arithmetic, for weights and activations that are moved,
for every node and for the call itself; memory a price for what is loaded and for what is alive. No
price is below zero. How far off such a sum is, every measured model says about itself by being left
out of the fit together with its family; the interval holds nine of ten of those, and is refused
where there are too few.

Times are kept as multiples of a yardstick, a fixed network that was run in the same interleaved
rounds: a busy machine slows both.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import UnavailableError
from edgewright.evidence import Interval

EDITION = 3
"""How models are measured and what is noted of their work. Raised with every change of either:
measurements of different editions are not comparable and never mixed.
"""

CONFIDENCE = 0.9
MIN_MEASURED = 12
_ROUNDS = 60
_TOLERANCE = 1e-9
_TINY = 1e-12
_LEAST_MEMORY_FACTOR = 1.05
"""Made-up networks are more alike than real ones: no interval of memory is narrower than this."""
_NEAR_WEIGHTS = (1 << 17, 1 << 19, 1 << 21)
"""Weights beyond these half, two and eight MB come from ever farther caches, or from memory."""


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one sample asks of an engine: multiply-adds by kind (convolutions over time and over
    area, with groups, a vector times a matrix, matrix products, recurrent layers), how many nodes
    are started (convolutions of two kinds apart), the values that a convolution over time is rolled
    out to, that come out of a kind, that go through functions such as a logarithm, that are
    rearranged or summed up, or only pass; all nodes, bytes of the file.
    """

    launches: int = 0
    over_time: int = 0
    time_convolutions: int = 0
    unrolled: int = 0
    over_area: int = 0
    area_convolutions: int = 0
    area_values: int = 0
    grouped: int = 0
    grouped_values: int = 0
    matrix: int = 0
    products: int = 0
    product_values: int = 0
    recurrent: int = 0
    recurrent_values: int = 0
    functions: int = 0
    rearranged: int = 0
    activations: int = 0
    weights: int = 0
    largest: int = 0
    nodes: int = 0
    file_bytes: int = 0


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model that was run: its undisturbed time over the yardstick's, the yardstick's
    own then, and the peak of a process that ran it (0: not looked at). Lines that were kept before
    there were editions are of the first.
    """

    name: str
    machine: str
    engine: str
    precision: str
    work: Work
    ratio: float
    yardstick_ms: float
    peak_bytes: int = 0
    edition: int = 1


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected, each with its interval and how many models it is drawn from."""

    latency_ms: Interval
    memory_mb: Interval | None
    measured: int


def predict(
    work: Work,
    measured: Sequence[Measured],
    *,
    left_out: int = 0,
    yardstick_ms: float | None = None,
) -> Prediction:
    """From models measured on one machine with one engine and precision; `left_out` others were
    measured in an earlier way, which an error then says. `yardstick_ms` is what the yardstick takes
    there now, unless it takes what it took then.

    Raises:
        UnavailableError: too few of them.
    """
    if len(measured) < MIN_MEASURED:
        older = f" ({left_out} of an earlier edition are left out)" if left_out else ""
        raise UnavailableError(
            f"{len(measured)} models were measured here{older}, {MIN_MEASURED} are needed to "
            "predict",
            hint="run `edgewright targets calibrate`",
        )
    if yardstick_ms is None:
        yardstick_ms = float(np.median([one.yardstick_ms for one in measured]))
    times = np.array([one.ratio for one in measured])
    ratio = _interval(work, measured, times, _time_parts, least_factor=1.0)
    weighed = [one for one in measured if one.peak_bytes]
    memory = None
    if len(weighed) >= MIN_MEASURED:
        peaks = np.array([one.peak_bytes / 2**20 for one in weighed])
        memory = _interval(work, weighed, peaks, _memory_parts, least_factor=_LEAST_MEMORY_FACTOR)
    return Prediction(
        latency_ms=_times(ratio, yardstick_ms), memory_mb=memory, measured=len(measured)
    )


def _interval(
    work: Work,
    measured: Sequence[Measured],
    values: NDArray[np.float64],
    parts: Callable[[Work], list[float]],
    *,
    least_factor: float,
) -> Interval:
    table = np.array([parts(one.work) for one in measured], np.float64)
    expected = float(np.dot(parts(work), prices(table, values)))
    families = np.array([_family(one.name) for one in measured])
    off = np.sort(np.abs(_errors_left_out(table, values, families)))
    # Of n errors the ceil((n + 1) * .9)th covers a further one in nine of ten cases.
    place = min(math.ceil((len(off) + 1) * CONFIDENCE), len(off)) - 1
    factor = max(math.exp(float(off[place])), least_factor)
    return Interval(expected, expected / factor, expected * factor, CONFIDENCE)


def _family(name: str) -> str:
    """What is left out together: made-up networks of one kind, any other model alone.

    >>> _family("made-up dense 3"), _family("mine.onnx")
    ('made-up dense', 'mine.onnx')
    """
    return name.rpartition(" ")[0] if name.startswith("made-up ") else name


def _errors_left_out(
    table: NDArray[np.float64], values: NDArray[np.float64], families: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Logarithms of measured over expected, each model judged by a fit that saw none of its family:
    the model that is asked about is like no network that was made up.
    """
    errors = np.empty(len(values))
    for at in range(len(values)):
        others = families != families[at]
        expected = float(table[at] @ prices(table[others], values[others]))
        errors[at] = math.log(values[at] / max(expected, 1e-12))
    return errors


def prices(table: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative least squares on relative errors (Lawson and Hanson's active set): a fast model
    counts as much as a slow one.

    >>> table = np.array([[1.0, 10.0], [1.0, 20.0], [1.0, 40.0]])
    >>> prices(table, table @ np.array([2.0, 0.5])).round(6).tolist()
    [2.0, 0.5]
    """
    scaled = table / values[:, None]
    size = np.maximum(np.sqrt((scaled**2).sum(axis=0)), 1e-300)
    unit, aim = scaled / size, np.ones(len(values))
    found = np.zeros(table.shape[1])
    is_free = np.zeros(table.shape[1], bool)
    for _ in range(_ROUNDS):
        slope = unit.T @ (aim - unit @ found)
        waiting = np.where(is_free, -math.inf, slope)
        if waiting.max() <= _TOLERANCE:
            break
        is_free[int(np.argmax(waiting))] = True
        found = _settled(unit, aim, found, is_free)
    result: NDArray[np.float64] = found / size
    return result


def _settled(
    unit: NDArray[np.float64],
    aim: NDArray[np.float64],
    before: NDArray[np.float64],
    is_free: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The best fit of the free columns; one that would go below zero is bound again at zero."""
    found = before
    while True:
        best = np.zeros(len(found))
        best[is_free] = np.linalg.lstsq(unit[:, is_free], aim, rcond=None)[0]
        is_bad = is_free & (best <= 0)
        if not is_bad.any():
            return best
        step = float((found[is_bad] / (found[is_bad] - best[is_bad] + _TINY)).min())
        found = found + step * (best - found)
        is_free &= found > _TINY


def _time_parts(work: Work) -> list[float]:
    beyond = (max(0, work.weights - near) for near in _NEAR_WEIGHTS)
    return [
        1.0,
        float(work.launches),
        float(work.over_time),
        float(work.time_convolutions),
        float(work.unrolled),
        float(work.over_area),
        float(work.area_convolutions),
        float(work.area_values),
        float(work.grouped_values),
        float(work.matrix),
        float(work.products),
        float(work.product_values),
        float(work.recurrent),
        float(work.recurrent_values),
        float(work.functions),
        float(work.rearranged),
        float(work.activations),
        *map(float, beyond),
    ]


def _memory_parts(work: Work) -> list[float]:
    return [1.0, float(work.file_bytes), float(work.largest), float(work.nodes)]


def _times(interval: Interval, factor: float) -> Interval:
    low = None if interval.low is None else interval.low * factor
    high = None if interval.high is None else interval.high * factor
    return Interval(interval.value * factor, low, high, interval.confidence)
