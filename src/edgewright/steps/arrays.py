"""What every step function takes and gives."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError

Array = NDArray[Any]


def as_floats(values: Array) -> Array:
    """The values as the float type a step calculates in: float64 stays, all others are float32.

    Raises:
        InputError: the values are texts or objects.
    """
    if values.dtype.kind not in "fiub":
        raise InputError(f"holds {values.dtype}, expected numbers")
    return values if values.dtype == np.float64 else values.astype(np.float32, copy=False)


def kept_float(result: Array, values: Array) -> Array:
    """The result in the float type of what it was made from; integers have become float32."""
    return result.astype(np.float16) if values.dtype == np.float16 else result


def expect_rank(values: Array, axes: str) -> None:
    """Refuse an array that does not have these axes.

    Raises:
        InputError: the number of axes differs.
    """
    if values.ndim != len(axes.split()):
        raise InputError(
            f"has shape {list(values.shape)}, expected [{', '.join(axes.split())}]",
            hint="check the tensor's shape in the contract",
        )


def expect_axis(values: Array, axis: int) -> int:
    """The axis counted from the front.

    Raises:
        InputError: the array has no such axis, or nothing lies along it.
    """
    if not -values.ndim <= axis < values.ndim:
        raise InputError(f"has shape {list(values.shape)}, which has no axis {axis}")
    if values.shape[axis] == 0:
        raise InputError(f"has shape {list(values.shape)}: nothing lies along axis {axis}")
    return axis % values.ndim
