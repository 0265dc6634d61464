"""Activation ranges: the model runs once over the calibration data, and every calibrator reads its
ranges from the same minima, maxima and histograms.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.runtimes.base import Array, Session
from edgewright.workbench.verify import row_count

BINS = 2048
CHUNK_ROWS = 16
_LEVELS = 256
_LEAST_SPREAD = 1e-3
"""A tensor that varies less than this share of its size has nothing to clip, and float32 has no
room for `BINS` steps in it.
"""

Calibrator = Literal["minmax", "percentile", "entropy", "mse"]
Ranges = dict[str, tuple[float, float]]


class Observation(msgspec.Struct, frozen=True):
    """What one tensor held: its extremes, and how often each of `BINS` even steps between."""

    low: float
    high: float
    counts: NDArray[np.int64]


def observe(
    model: onnx.ModelProto,
    arrays: Mapping[str, Array],
    open_file: Callable[[Path], Session],
) -> dict[str, Observation]:
    """One observation per float tensor, inputs included.

    Raises:
        InputError: the model answers NaN or infinity to the calibration data.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "exposed.onnx"
        _fs.write_atomic(path, _exposed(model).SerializeToString(deterministic=True))
        session = open_file(path)
        try:
            extremes = _extremes(session, arrays)
            return _histograms(session, arrays, extremes)
        finally:
            session.close()


def ranges_by(calibrator: Calibrator, observations: Mapping[str, Observation]) -> Ranges:
    """What an activation may hold before it is clipped."""
    rule = _RULES[calibrator]
    return {name: rule(seen) for name, seen in observations.items()}


def _exposed(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    listed = {entry.name for entry in copy.graph.output}
    names = (name for node in model.graph.node for name in node.output if name)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in listed)
    return copy


def _passes(session: Session, arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    fixed = next((t.shape[0] for t in session.inputs if t.shape and t.shape[0]), None)
    chunk = fixed or CHUNK_ROWS
    rows = row_count(arrays)
    for start in range(0, rows - (rows % chunk if fixed else 0), chunk):
        feeds = {name: array[start : start + chunk] for name, array in arrays.items()}
        seen = session.run(feeds) | feeds
        yield {name: a for name, a in seen.items() if a.dtype == np.float32 and a.size}


def _extremes(session: Session, arrays: Mapping[str, Array]) -> Ranges:
    found: Ranges = {}
    for tensors in _passes(session, arrays):
        for name, array in tensors.items():
            low, high = float(array.min()), float(array.max())
            if not np.isfinite(low) or not np.isfinite(high):
                raise InputError(
                    f"the model's tensor {name!r} holds NaN or infinity on the calibration data",
                    hint="mend the model or its inputs first; verify it with `edgewright verify`",
                )
            before = found.get(name, (low, high))
            found[name] = (min(low, before[0]), max(high, before[1]))
    return found


def _histograms(
    session: Session, arrays: Mapping[str, Array], extremes: Ranges
) -> dict[str, Observation]:
    counts = {name: np.zeros(BINS, np.int64) for name in extremes}
    for tensors in _passes(session, arrays):
        for name, array in tensors.items():
            low, high = extremes[name]
            if high - low > _LEAST_SPREAD * max(abs(low), abs(high)):
                counts[name] += np.histogram(array, BINS, (low, high))[0]
    return {name: Observation(*extremes[name], counts[name]) for name in extremes}


def _min_max(seen: Observation) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: Observation) -> tuple[float, float]:
    """All but one in ten thousand values, shared by both ends."""
    total = int(seen.counts.sum())
    if not total:
        return seen.low, seen.high
    reached = np.cumsum(seen.counts) / total
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    low = edges[int(np.searchsorted(reached, 5e-5))]
    high = edges[min(int(np.searchsorted(reached, 1 - 5e-5)) + 1, BINS)]
    return float(low), float(high)


def _entropy(seen: Observation) -> tuple[float, float]:
    """The range whose 8-bit histogram loses the least information (Kullback-Leibler)."""
    return _best_range(seen, _lost_information)


def _mse(seen: Observation) -> tuple[float, float]:
    """The range with the least squared error, clipping included."""
    return _best_range(seen, _squared_error)


def _best_range(
    seen: Observation, loss: Callable[[Observation, int, int], float]
) -> tuple[float, float]:
    """Search from the full range inwards; the end that is further from zero shrinks."""
    if not seen.counts.any():
        return seen.low, seen.high
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    reach = max(abs(seen.low), abs(seen.high))
    best, best_loss = (0, BINS), float("inf")
    for share in np.linspace(1.0, 0.3, 36):
        first = int(np.searchsorted(edges, max(seen.low, -reach * share), "right")) - 1
        last = int(np.searchsorted(edges, min(seen.high, reach * share), "left"))
        first = min(max(first, 0), BINS - 1)  # values of one sign lie beyond what is left
        last = min(max(last, first + 1), BINS)
        lost = loss(seen, first, last)
        if lost < best_loss:
            best, best_loss = (first, last), lost
    return float(edges[best[0]]), float(edges[best[1]])


def _squared_error(seen: Observation, first: int, last: int) -> float:
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    step = max((edges[last] - edges[first]) / (_LEVELS - 1), 1e-12)
    clipped = np.clip(centres, edges[first], edges[last])
    rounding = step**2 / 12
    error = np.where(clipped == centres, rounding, np.square(centres - clipped))
    return float((seen.counts * error).sum())


def _lost_information(seen: Observation, first: int, last: int) -> float:
    inside = seen.counts[first:last].astype(np.float64)
    reference = inside.copy()
    reference[0] += seen.counts[:first].sum()
    reference[-1] += seen.counts[last:].sum()
    groups = np.minimum(np.arange(last - first) * _LEVELS // max(last - first, 1), _LEVELS - 1)
    filled = inside > 0
    sums = np.bincount(groups, inside, _LEVELS)
    sizes = np.bincount(groups, filled, _LEVELS)
    spread = np.where(filled, sums[groups] / np.maximum(sizes[groups], 1), 0.0)
    wanted, given = reference / reference.sum(), spread / max(spread.sum(), 1e-12)
    kept = wanted > 0
    return float((wanted[kept] * np.log(wanted[kept] / np.maximum(given[kept], 1e-9))).sum())


_RULES: dict[Calibrator, Callable[[Observation], tuple[float, float]]] = {
    "minmax": _min_max,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
