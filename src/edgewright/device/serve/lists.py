"""Lists of a JSON body as the array that a model takes. Pure.

>>> array_of("x", [[1, 2]], np.dtype("uint8"))
array([[1, 2]], dtype=uint8)
"""

from typing import Any

import numpy as np

from edgewright.device.serve.ports import Array
from edgewright.errors import InputError


def array_of(name: str, values: object, dtype: "np.dtype[Any]") -> Array:
    """An array of this type, each value as it was sent (to the precision of a float type).

    Raises:
        InputError: it is no array, or holds what the type cannot.
    """
    is_text = dtype.kind == "O"
    try:
        array = np.array(values)
        if array.dtype.kind not in ("U" if is_text else "biuf"):
            what = "text" if is_text else "numbers"
            raise InputError(f"input {name!r} does not hold {what} only")
        if array.dtype.kind == "b" and dtype.kind != "b":
            raise InputError(f"input {name!r} holds true and false, expected {dtype}")
        if is_text or dtype.kind == "f":
            with np.errstate(over="ignore"):
                return array.astype(dtype)
        return _whole(name, array, dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"input {name!r} is not an array of {dtype}: {error}") from error


def _whole(name: str, array: Array, dtype: "np.dtype[Any]") -> Array:
    """Whole numbers in a type that holds each of them as it is."""
    if array.dtype.kind == "f":
        raise InputError(f"input {name!r} holds fractions, or more than any {dtype}")
    cast = array.astype(dtype)
    if not np.array_equal(cast, array):
        raise InputError(f"input {name!r} holds a value that {dtype} cannot")
    return cast
