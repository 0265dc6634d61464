"""Running a session over many rows, whatever batch its file allows."""

from collections.abc import Mapping

import numpy as np

from edgewright.errors import InputError
from edgewright.runtimes.base import Array, EngineTensor, Session

CHUNK_ROWS = 64


def row_count(arrays: Mapping[str, Array]) -> int:
    """How many samples arrays hold.

    Raises:
        InputError: they disagree, or there is none.
    """
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError(
            f"the arrays hold {counts} rows, expected the same number (1 or more) in each",
            hint="row i of every array is sample i",
        )
    return next(iter(counts.values()))


def check_arrays(
    arrays: Mapping[str, Array], inputs: tuple[EngineTensor, ...], *, source: str
) -> dict[str, Array]:
    """The arrays that a model takes, in its order; float and integer widths are fitted.

    Raises:
        InputError: one is missing, or its shape, kind or a value is wrong.
    """
    missing = [tensor.name for tensor in inputs if tensor.name not in arrays]
    if missing:
        raise InputError(
            f"{source}: no array for input {missing[0]!r}, it has {sorted(arrays)}",
            hint="name the arrays like the model's inputs: "
            + ", ".join(tensor.name for tensor in inputs),
        )
    fitted = {tensor.name: _fitted(arrays[tensor.name], tensor, source) for tensor in inputs}
    row_count(fitted)
    return fitted


def run_rows(session: Session, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """One answer per row, in chunks that the model's batch size allows."""
    rows = row_count(arrays)
    chunk = _chunk_rows(session.inputs)
    parts = [_run_chunk(session, arrays, start, chunk) for start in range(0, rows, chunk)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run_chunk(
    session: Session, arrays: Mapping[str, Array], start: int, chunk: int
) -> dict[str, Array]:
    """A short last chunk of a model with a fixed batch is filled with copies of its last row."""
    feeds = {name: array[start : start + chunk] for name, array in arrays.items()}
    rows = row_count(feeds)
    fixed = any(tensor.shape and tensor.shape[0] is not None for tensor in session.inputs)
    if fixed and rows < chunk:
        feeds = {
            name: np.concatenate([array, np.repeat(array[-1:], chunk - rows, axis=0)])
            for name, array in feeds.items()
        }
    answers = session.run(feeds)
    if single := sorted(name for name, answer in answers.items() if not answer.ndim):
        raise InputError(
            f"outputs {single} hold one number for all rows, not one a row",
            hint="leave them out of the model",
        )
    return {name: answer[:rows] for name, answer in answers.items()}


def _chunk_rows(inputs: tuple[EngineTensor, ...]) -> int:
    fixed = {tensor.shape[0] for tensor in inputs if tensor.shape}
    sizes = [size for size in fixed if size is not None]
    return sizes[0] if sizes else CHUNK_ROWS


def _fitted(array: Array, tensor: EngineTensor, source: str) -> Array:
    wanted = np.dtype(tensor.dtype)
    same_kind = array.dtype.kind == wanted.kind or {array.dtype.kind, wanted.kind} <= {"i", "u"}
    if not same_kind:
        raise InputError(
            f"{source}: input {tensor.name!r} is {array.dtype}, expected {tensor.dtype}",
            hint=f"store it with .astype({tensor.dtype!r}) if that is what the model was made for",
        )
    expected = tensor.shape[1:]
    got = array.shape[1:]
    fits = array.ndim == len(tensor.shape) and all(
        want is None or want == have for want, have in zip(expected, got, strict=True)
    )
    if not fits:
        shape = ["rows", *("any" if size is None else size for size in expected)]
        raise InputError(
            f"{source}: input {tensor.name!r} has shape {list(array.shape)}, expected {shape}",
            hint="the first axis counts samples",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{source}: input {tensor.name!r} holds NaN or infinity", hint="drop these rows"
        )
    converted = array.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(converted, array):
        raise InputError(f"{source}: input {tensor.name!r} does not fit into {tensor.dtype}")
    return np.ascontiguousarray(converted)
