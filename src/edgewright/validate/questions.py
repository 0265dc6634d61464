"""Requests to a V2 server and what its answers should be.

Golden vectors give both. Without them the questions are drawn from the declared shapes and ranges,
and the answers can only be checked for form: the report says so.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.bundle.golden import Golden
from edgewright.contract import Contract, Tensor
from edgewright.errors import InputError
from edgewright.validate.encoding import DTYPES, Arrays, encode_body
from edgewright.wire import v2

QUESTION_LIMIT = 64


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One request: its arrays, its JSON body, and the outputs that are the right answer (None:
    nobody knows). `alternatives` are right as well, while two versions of a model are swapped.
    """

    body: bytes
    inputs: Mapping[str, NDArray[Any]] = {}
    expected: dict[str, NDArray[Any]] | None = None
    alternatives: tuple[dict[str, NDArray[Any]], ...] = ()


def asked(
    inputs: Arrays, metadata: v2.ModelMetadata, *, expected: Arrays | None = None
) -> Question:
    """The question that asks for these arrays."""
    return Question(
        body=encode_body(inputs, metadata),
        inputs=dict(inputs),
        expected=None if expected is None else dict(expected),
    )


def golden_questions(
    golden: Golden, metadata: v2.ModelMetadata, *, limit: int = QUESTION_LIMIT
) -> tuple[Question, ...]:
    """A question for every row of the golden vectors, or one for all where rows cannot be told.

    Raises:
        InputError: the vectors speak of other tensors than the served model.
    """
    _check_names("inputs", golden.inputs, metadata.inputs)
    _check_names("outputs", golden.outputs, metadata.outputs)
    rows = _rows(golden, metadata)
    if rows is None:
        return (asked(golden.inputs, metadata, expected=golden.outputs),)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, limit)).round().astype(int))
    return tuple(
        asked(
            {name: array[row : row + 1] for name, array in golden.inputs.items()},
            metadata,
            expected={name: array[row : row + 1] for name, array in golden.outputs.items()},
        )
        for row in chosen
    )


def golden_of_arrays(arrays: Arrays, metadata: v2.ModelMetadata) -> Golden:
    """Golden vectors from plain arrays that are named like the served model's tensors.

    Raises:
        InputError: a name that the model does not have, or a tensor that the arrays do not have.
    """
    names_in = {tensor.name for tensor in metadata.inputs}
    names_out = {tensor.name for tensor in metadata.outputs}
    if set(arrays) != names_in | names_out:
        raise InputError(
            f"the golden file has arrays {sorted(arrays)}, expected inputs {sorted(names_in)} and "
            f"outputs {sorted(names_out)}",
            hint="name the arrays like the model's tensors",
        )
    return Golden(
        inputs={name: array for name, array in arrays.items() if name in names_in},
        outputs={name: array for name, array in arrays.items() if name in names_out},
    )


def drawn_questions(
    metadata: v2.ModelMetadata,
    contract: Contract | None,
    *,
    rng: np.random.Generator,
    count: int = 8,
) -> tuple[Question, ...]:
    """Questions within the contract's ranges, or between -1 and 1 where none are known."""
    tensors = {tensor.name: tensor for tensor in contract.inputs} if contract else {}
    return tuple(
        asked(
            {one.name: _draw(one, tensors.get(one.name), rng) for one in metadata.inputs}, metadata
        )
        for _ in range(count)
    )


def _check_names(kind: str, arrays: Arrays, tensors: tuple[v2.TensorMetadata, ...]) -> None:
    names = {tensor.name for tensor in tensors}
    if set(arrays) != names:
        raise InputError(
            f"the golden vectors have {kind} {sorted(arrays)}, the served model has "
            f"{sorted(names)}",
            hint="give the golden vectors of this model",
        )


def _rows(golden: Golden, metadata: v2.ModelMetadata) -> int | None:
    """How many rows the vectors have, when every tensor has them along a free first dimension."""
    is_free = all(
        tensor.shape and tensor.shape[0] == -1 for tensor in metadata.inputs + metadata.outputs
    )
    arrays = [*golden.inputs.values(), *golden.outputs.values()]
    counts = {len(array) if array.ndim else 0 for array in arrays}
    return counts.pop() if is_free and len(counts) == 1 and 0 not in counts else None


def _draw(
    metadata: v2.TensorMetadata, tensor: Tensor | None, rng: np.random.Generator
) -> NDArray[Any]:
    shape = tuple(1 if size < 0 else size for size in metadata.shape)
    dtype = DTYPES.get(metadata.datatype)
    if dtype is None or dtype == "string":
        raise InputError(
            f"questions for input {metadata.name!r} of type {metadata.datatype} cannot be drawn",
            hint="give golden vectors with --golden",
        )
    low, high = _bounds(tensor, shape)
    drawn = low + rng.random(shape) * (high - low)
    if dtype == "bool":
        return drawn > (low + high) / 2
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        drawn = np.clip(np.floor(drawn), info.min, info.max)
    return drawn.astype(dtype)


def _bounds(
    tensor: Tensor | None, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lows = np.full(shape[-1:] or (1,), -1.0)
    highs = np.full(shape[-1:] or (1,), 1.0)
    if tensor is not None:
        lows[:] = -1.0 if tensor.low is None else tensor.low
        highs[:] = 1.0 if tensor.high is None else tensor.high
        for place, channel in enumerate(tensor.channels):
            lows[place] = lows[place] if channel.low is None else channel.low
            highs[place] = highs[place] if channel.high is None else channel.high
    return np.minimum(lows, highs), np.maximum(lows, highs)
