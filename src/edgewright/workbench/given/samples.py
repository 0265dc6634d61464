"""Sample inputs that somebody brings, laid out for the model.

Two layouts: *rows*, where the first axis of every input counts samples, and *requests*, for models
with a state or a scalar among their inputs, where each sample is one whole request.

>>> import numpy as np
>>> from edgewright.contract import Contract, Tensor
>>> contract = Contract(
...     inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
...     outputs=(Tensor(name="y", dtype="float32", shape=("batch", 1)),),
... )
>>> fit_samples({"x": np.zeros((3, 2))}, contract, source="x.npz").count
3
>>> fit_samples({"input": np.zeros((3, 2))}, contract, source="x")
Traceback (most recent call last):
...
edgewright.errors.InputError: x: no array for input 'x', it has ['input']; name the arrays like \
the model's inputs: x float32 ['batch', 2]; one array alone may come as .npy, without a name
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.contract import Contract, Tensor
from edgewright.errors import InputError
from edgewright.runtimes.base import Array

LIMIT_BYTES = 4 << 30
ONE_ARRAY = "; one array alone may come as .npy, without a name"
LABELS, GROUPS = "y", "group"

Layout = Literal["rows", "requests"]


class GivenSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Arrays by input name; sample i is row i of each. Labels and groups where there are any."""

    arrays: dict[str, Array]
    layout: Layout
    labels: Array | None = None
    groups: Array | None = None

    @property
    def count(self) -> int:
        """How many samples."""
        return len(next(iter(self.arrays.values())))

    def take(self, rows: NDArray[np.intp]) -> "GivenSamples":
        """Some of the samples."""
        return msgspec.structs.replace(
            self,
            arrays={name: array[rows] for name, array in self.arrays.items()},
            labels=None if self.labels is None else self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def spread(self, count: int) -> "GivenSamples":
        """At most so many samples, spread evenly."""
        rows = np.linspace(0, self.count - 1, min(count, self.count)).astype(np.intp)
        return self.take(np.unique(rows))

    def request(self, contract: Contract) -> dict[str, Array]:
        """One request that the contract takes: all rows, as many as a fixed batch holds, or the
        first whole request.
        """
        if self.layout == "requests":
            return {name: np.asarray(array[0]) for name, array in self.arrays.items()}
        batch = fixed_batch(contract)
        if batch is None:
            return dict(self.arrays)
        rows = np.arange(batch) % self.count
        return {name: array[rows] for name, array in self.arrays.items()}


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz`, or the one array of an `.npy` under the empty name.

    Raises:
        InputError: neither of them, or it holds pickled objects.
    """
    content = read_limited(path, limit_bytes=LIMIT_BYTES)
    if path.suffix != ".npy":
        return decode_npz(content, source=str(path))
    try:
        return {"": np.load(path, allow_pickle=False)}
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a plain array: {error}", hint="use numpy.save") from error


def fit_samples(arrays: Mapping[str, Array], contract: Contract, *, source: str) -> GivenSamples:
    """The samples that a model takes.

    Raises:
        InputError: an array is missing, has the wrong shape or kind, or is not finite.
    """
    inputs = contract.inputs
    named = dict(arrays)
    if "" in named and len(inputs) == 1:
        named[inputs[0].name] = named.pop("")
    names = [tensor.name for tensor in inputs]
    for tensor in inputs:
        if tensor.name not in named:
            raise InputError(
                f"{source}: no array for input {tensor.name!r}, it has {sorted(named)}",
                hint=f"name the arrays like the model's inputs: {', '.join(map(_told, inputs))}"
                + ONE_ARRAY * (len(inputs) == 1),
            )
    if unknown := sorted(set(named) - {*names, LABELS, GROUPS}):
        raise InputError(
            f"{source}: {unknown} are no inputs of the model",
            hint=f"it takes {', '.join(map(_told, inputs))}; labels are called y, groups group",
        )
    layout: Layout = "rows" if has_rows(contract) else "requests"
    fitted = {t.name: _fitted(named[t.name], t, layout, source) for t in inputs}
    counts = {name: len(array) for name, array in fitted.items()}
    labels = named.get(LABELS) if LABELS not in names else None
    groups = named.get(GROUPS) if GROUPS not in names else None
    for name, array in ((LABELS, labels), (GROUPS, groups)):
        if array is not None:
            counts[name] = len(array) if array.ndim else 0
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError(
            f"{source}: the arrays hold {counts} samples, expected the same number (1 or more)",
            hint="sample i is row i of every array",
        )
    return GivenSamples(arrays=fitted, layout=layout, labels=labels, groups=groups)


def has_rows(contract: Contract) -> bool:
    """Whether the first axis of every input counts samples."""
    first = {tensor.shape[0] if tensor.shape else None for tensor in contract.inputs}
    return len(first) == 1 and None not in first


def fixed_batch(contract: Contract) -> int | None:
    """How many rows every request must have; None where any number will do."""
    size = contract.inputs[0].shape[0] if contract.inputs[0].shape else None
    return size if isinstance(size, int) else None


def _fitted(array: Array, tensor: Tensor, layout: Layout, source: str) -> Array:
    wanted = tensor.shape[1:] if layout == "rows" else tensor.shape
    if layout == "requests" and array.ndim == len(wanted) and _fits(array.shape, wanted):
        array = array[np.newaxis]
    if array.ndim != len(wanted) + 1 or not _fits(array.shape[1:], wanted):
        raise InputError(
            f"{source}: input {tensor.name!r} has shape {list(array.shape)}, "
            f"expected {['samples', *wanted]}",
            hint="the first axis counts samples",
        )
    if tensor.dtype == "string":
        return array.astype(np.str_)
    return _converted(array, tensor, source)


def _converted(array: Array, tensor: Tensor, source: str) -> Array:
    kind = np.dtype(tensor.dtype)
    alike = array.dtype.kind == kind.kind or {array.dtype.kind, kind.kind} <= {"i", "u"}
    if not alike:
        raise InputError(
            f"{source}: input {tensor.name!r} is {array.dtype}, expected {tensor.dtype}",
            hint=f"store it with .astype({tensor.dtype!r}) if that is what the model was made for",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{source}: input {tensor.name!r} holds NaN or infinity", hint="drop these samples"
        )
    converted = array.astype(kind)
    if kind.kind in "iu" and not np.array_equal(converted, array):
        raise InputError(f"{source}: input {tensor.name!r} does not fit into {tensor.dtype}")
    return np.ascontiguousarray(converted)


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(want, str) or want == have for want, have in zip(wanted, shape, strict=True)
    )


def _told(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype} {list(tensor.shape)}"
