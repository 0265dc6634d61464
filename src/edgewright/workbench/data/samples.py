"""What the training loop sees of any data set: rows of inputs, a target for each, and whose row it
is. Arrays may lie on disk (memory-mapped): nobody below takes more than a few rows at a time.

    >>> rows = SampleSet(
    ...     inputs={"x": np.arange(6.0).reshape(3, 2)},
    ...     target=np.array([0.1, 0.2, 0.3], np.float32),
    ...     group=np.array(["a", "a", "b"]),
    ... )
    >>> rows.take(np.array([2, 0])).target.tolist() == rows.target[[2, 0]].tolist()
    True
    >>> row_shapes(rows)
    {'x': (2,)}
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError

CHUNK_BYTES = 32 << 20
"""How much of an array is looked at in one go."""

Index = NDArray[np.intp] | NDArray[np.bool_] | slice


class Rows(Protocol):
    """An array or a view of one on disk: indexing with rows gives an ordinary array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> NDArray[Any]: ...


class Samples(Protocol):
    """Rows to learn from. The target is a class number, a value, several values, or a mask of class
    numbers; `group` names the person, image or machine that must not stand on both sides of a
    split. `labels` are the classes, if there are any; `warning` is what every report must say.
    """

    @property
    def inputs(self) -> Mapping[str, Rows]:
        """The module's arguments in order, by the names that the contract gives them."""

    @property
    def target(self) -> NDArray[Any]: ...

    @property
    def group(self) -> NDArray[np.str_]: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def origin(self) -> str: ...

    @property
    def warning(self) -> str: ...

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Some of the rows; what lies on disk stays there."""

    def content_hash(self) -> str:
        """The same for the same rows in the same order."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples of any kind. `content` is the hash of the rows where it is known already, so that a
    large file need not be read for it.
    """

    inputs: Mapping[str, Rows]
    target: NDArray[Any]
    group: NDArray[np.str_]
    labels: tuple[str, ...] = ()
    origin: str = ""
    warning: str = ""
    content: str = ""

    def __post_init__(self) -> None:
        counts = {len(rows) for rows in self.inputs.values()}
        if counts != {len(self.target)} or len(self.group) != len(self.target):
            shapes = {name: list(rows.shape) for name, rows in self.inputs.items()}
            raise InputError(
                f"inputs {shapes}, {len(self.target)} targets and {len(self.group)} groups do not "
                "fit together",
                hint="give every row one target and one group",
            )

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "SampleSet":
        """Some of the rows."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.intp)
        content = self.content and hashlib.sha256(self.content.encode() + chosen.data).hexdigest()
        return replace(
            self,
            inputs={name: _some(array, chosen) for name, array in self.inputs.items()},
            target=self.target[chosen],
            group=self.group[chosen],
            content=content,
        )

    def content_hash(self) -> str:
        """sha256 of names, shapes, types and values."""
        return self.content or hash_samples(self)


class RowView:
    """Chosen rows of an array that stays where it is (on disk)."""

    def __init__(self, array: Rows, rows: NDArray[np.intp]) -> None:
        self._array, self._rows = array, rows

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self._rows), *self._array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return self._array.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        return self._array[self._rows[rows]]

    def narrowed(self, rows: NDArray[np.intp]) -> "RowView":
        """Some of these rows."""
        return RowView(self._array, self._rows[rows])


def _some(array: Rows, rows: NDArray[np.intp]) -> Rows:
    if isinstance(array, RowView):
        return array.narrowed(rows)
    return RowView(array, rows) if isinstance(array, np.memmap) else array[rows]


def is_on_disk(array: Rows) -> bool:
    """Whether taking the whole array would read it from a file."""
    return not isinstance(array, np.ndarray) or isinstance(array, np.memmap)


def chunks(array: Rows, *, limit_bytes: int = CHUNK_BYTES) -> Iterator[NDArray[Any]]:
    """The array's rows in order, a bounded part at a time."""
    bytes_a_row = max(int(np.prod(array.shape[1:], dtype=np.int64)) * array.dtype.itemsize, 1)
    step = max(limit_bytes // bytes_a_row, 1)
    for first in range(0, len(array), step):
        yield np.ascontiguousarray(array[first : first + step])


def row_shapes(samples: Samples) -> dict[str, tuple[int, ...]]:
    """The shape of one row of each input."""
    return {name: tuple(rows.shape[1:]) for name, rows in samples.inputs.items()}


def hash_samples(samples: Samples) -> str:
    """sha256 over everything that a model could learn from the samples."""
    digest = hashlib.sha256()
    arrays = {**samples.inputs, "": samples.target}
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        for part in chunks(array):
            digest.update(part.data)
    digest.update(repr(samples.labels).encode())
    return digest.hexdigest()
