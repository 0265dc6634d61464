"""Calibration and evaluation data: read, checked against the model, divided so that what selects a
variant never judges it.
"""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright import _fs, _npz
from edgewright.errors import InputError
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.workbench.optimize.report import Split
from edgewright.workbench.verify import check_arrays, row_count

LIMIT_BYTES = 4 << 30
MIN_CALIB_ROWS = 8
MIN_EVAL_ROWS = 20
SELECT_SHARE = 1 / 3
MIN_BOOTSTRAP_GROUPS = 5
"""Fewer groups than this say nothing about the spread between groups."""

Rows = NDArray[np.intp]


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """Samples with labels and, when known, the group (subject, site, recording) each comes from."""

    inputs: dict[str, Array]
    labels: Array
    groups: Array | None = None

    @property
    def rows(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows) -> "Labelled":
        """Some of the samples."""
        return Labelled(
            inputs={name: array[rows] for name, array in self.inputs.items()},
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
        )


def read_calibration(path: Path, inputs: tuple[EngineTensor, ...]) -> dict[str, Array]:
    """The arrays that activation ranges are taken from; labels are ignored.

    Raises:
        InputError: an array is missing or does not fit, or there are too few rows.
    """
    arrays = check_arrays(_read(path), inputs, source=str(path))
    rows = row_count(arrays)
    if rows < MIN_CALIB_ROWS:
        raise InputError(
            f"{path} holds {rows} calibration sample{'s' if rows > 1 else ''}, "
            f"expected {MIN_CALIB_ROWS} or more",
            hint="activation ranges need typical inputs; 100 to 500 are good",
        )
    return arrays


def read_evaluation(path: Path, inputs: tuple[EngineTensor, ...]) -> Labelled:
    """Labelled samples: one array per input, `y`, and `group` if it is there.

    Raises:
        InputError: an array is missing or does not fit, or there are too few rows.
    """
    raw = _read(path)
    labels = raw.get("y") if "y" not in {tensor.name for tensor in inputs} else None
    if labels is None:
        raise InputError(
            f"{path}: no labels `y`, it has {sorted(raw)}",
            hint="store whole class positions or target values under the name y",
        )
    arrays = check_arrays(raw, inputs, source=str(path))
    rows = row_count({**arrays, "y": labels})
    groups = raw.get("group")
    if groups is not None and groups.shape != (rows,):
        raise InputError(
            f"{path}: `group` has shape {list(groups.shape)}, expected [{rows}]",
            hint="name the group of every sample",
        )
    if rows < MIN_EVAL_ROWS:
        raise InputError(
            f"{path} holds {rows} evaluation samples, expected {MIN_EVAL_ROWS} or more",
            hint="a drop of half a point shows on some hundred samples or more",
        )
    return Labelled(inputs=arrays, labels=labels, groups=groups)


def divide(data: Labelled, rng: np.random.Generator) -> tuple[Labelled, Labelled, Split]:
    """Select and confirm: whole groups where there are two or more, else rows. The select samples
    come in random order, so that its first rows stand for all of it.
    """
    if data.groups is not None and len(np.unique(data.groups)) > 1:
        return _by_group(data, data.groups, rng)
    order = rng.permutation(data.rows)
    cut = round(data.rows * SELECT_SHARE)
    select, confirm = data.take(order[:cut]), data.take(order[cut:])
    return (
        select,
        confirm,
        Split(by="rows", select_rows=select.rows, confirm_rows=confirm.rows),
    )


def bootstrap_groups(data: Labelled) -> Array | None:
    """The groups a bound is drawn over, or None where rows must do."""
    if data.groups is None or len(np.unique(data.groups)) < MIN_BOOTSTRAP_GROUPS:
        return None
    return data.groups


def shared_rows(calibration: dict[str, Array], evaluation: Labelled) -> int:
    """How many evaluation samples also lie in the calibration data."""
    name = next(iter(calibration))
    seen = {row.tobytes() for row in calibration[name]}
    return sum(row.tobytes() in seen for row in evaluation.inputs[name])


def _by_group(
    data: Labelled, groups: Array, rng: np.random.Generator
) -> tuple[Labelled, Labelled, Split]:
    names, counts = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    reached = np.cumsum(counts[order]) >= data.rows * SELECT_SHARE
    cut = min(int(np.argmax(reached)) + 1, len(names) - 1)
    chosen = names[order[:cut]]
    is_select = np.isin(groups, chosen)
    select = data.take(rng.permutation(np.flatnonzero(is_select)))
    confirm = data.take(np.flatnonzero(~is_select))
    return (
        select,
        confirm,
        Split(
            by="group",
            select_rows=select.rows,
            confirm_rows=confirm.rows,
            select_groups=tuple(sorted(str(name) for name in chosen)),
            confirm_groups=tuple(sorted(str(name) for name in names[order[cut:]])),
        ),
    )


def _read(path: Path) -> dict[str, Array]:
    return _npz.decode_npz(_fs.read_limited(path, limit_bytes=LIMIT_BYTES), source=str(path))
