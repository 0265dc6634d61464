"""Arrays that people give, as the inputs of a graph: refused by name, or in the graph's types."""

from collections.abc import Mapping

import numpy as np
import onnx

from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.onnx_file import input_names


def fitting(arrays: Mapping[str, Array], model: onnx.ModelProto, *, what: str) -> dict[str, Array]:
    """The rows that the graph takes, in its types.

    Raises:
        InputError: an input has no array, or one of another shape or kind, no or other rows, or a
            value that is no number.
    """
    fitted: dict[str, Array] = {}
    for entry in model.graph.input:
        if entry.name not in input_names(model):
            continue
        if entry.name not in arrays:
            raise InputError(
                f"{what}: no array for input {entry.name!r}, it has {sorted(arrays)}",
                hint="name the arrays like the model's inputs: " + ", ".join(input_names(model)),
            )
        array = arrays[entry.name]
        sizes = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        fits = array.ndim == len(sizes) and all(
            not want or want == have for want, have in zip(sizes[1:], array.shape[1:], strict=True)
        )
        if not fits:
            shape = ["rows", *(size or "any" for size in sizes[1:])]
            raise InputError(
                f"{what}: input {entry.name!r} has shape {list(array.shape)}, expected {shape}"
            )
        if not array.size:
            raise InputError(f"{what}: input {entry.name!r} has no rows", hint="give 1 or more")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(
                f"{what}: input {entry.name!r} holds NaN or infinity", hint="drop these rows"
            )
        kind = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        if array.dtype.kind != kind.kind and not {array.dtype.kind, kind.kind} <= {"i", "u"}:
            raise InputError(f"{what}: input {entry.name!r} is {array.dtype}, expected {kind}")
        fitted[entry.name] = array.astype(kind)
    rows = {name: len(array) for name, array in fitted.items()}
    if len(set(rows.values())) > 1:
        raise InputError(f"{what}: the inputs have different numbers of rows: {rows}")
    return fitted
