"""Inputs that real data rarely holds and faults love: zeros, both extremes, noise."""

from collections.abc import Mapping

import numpy as np

from edgewright.runtimes.base import Array

EDGE_ROWS = 4


def edge_inputs(
    golden: Mapping[str, Array], rng: np.random.Generator
) -> dict[str, dict[str, Array]]:
    """Cases by name, each with `EDGE_ROWS` rows, inside the range that the golden data spans."""
    ranges = {name: _range(array) for name, array in golden.items()}

    def filled(make: str) -> dict[str, Array]:
        return {
            name: _values(make, array, *ranges[name], rng).astype(array.dtype)
            for name, array in golden.items()
        }

    return {case: filled(case) for case in ("zeros", "lowest", "highest", "alternating", "random")}


def _range(array: Array) -> tuple[float, float]:
    if array.dtype.kind == "b":
        return 0.0, 1.0
    return float(array.min()), float(array.max())


def _values(make: str, array: Array, low: float, high: float, rng: np.random.Generator) -> Array:
    shape = (EDGE_ROWS, *array.shape[1:])
    match make:
        case "zeros":
            return np.full(shape, min(max(0.0, low), high))
        case "lowest":
            return np.full(shape, low)
        case "highest":
            return np.full(shape, high)
        case "alternating":
            return np.where(np.arange(int(np.prod(shape))).reshape(shape) % 2 == 0, low, high)
        case _:
            share = rng.random(shape)
            drawn = low * (1 - share) + high * share  # high - low may be infinite
            return drawn if array.dtype.kind == "f" else np.rint(drawn)
