"""What samples must be before anything is learnt from them. Reads them once, in parts."""

import numpy as np

from edgewright.errors import InputError
from edgewright.workbench.data import Rows, Samples, chunks, row_shapes
from edgewright.workbench.recipes import Task


def check_samples(train: Samples, val: Samples, task: Task) -> None:
    """Refuse samples that do not fit together, that are not finite, or that teach nothing.

    Raises:
        InputError: it says which.
    """
    if _shape(train) != _shape(val) or train.labels != val.labels:
        raise InputError(
            f"training {_said(train, task)} and validation {_said(val, task)} do not fit"
        )
    if not len(train) or not len(val):
        raise InputError(
            f"{len(train)} training and {len(val)} validation {task.unit}s: each needs one or more"
        )
    for samples in (train, val):
        for name, rows in (*samples.inputs.items(), ("target", samples.target)):
            if not _is_finite(rows):
                raise InputError(
                    f"the {task.unit}s ({name}) hold values that are not finite",
                    hint="`data check` names the recordings; `data clean` repairs or drops them",
                )
    _check_target(train, task)


def _check_target(train: Samples, task: Task) -> None:
    if task.kind == "regression":
        if len(train) > 1 and float(np.ptp(train.target)) == 0.0:
            raise InputError(
                f"all {len(train)} training targets are {float(train.target.flat[0]):g}",
                hint="label rows that differ",
            )
        return
    seen: set[int] = set()
    for part in chunks(train.target):
        seen |= set(np.unique(part[part >= 0]).tolist())
    if seen and max(seen) >= len(train.labels):
        raise InputError(f"class {max(seen)} has no name; there are {len(train.labels)} classes")
    if len(seen) < 2:
        raise InputError(
            f"{len(train)} training {task.unit}s hold {len(seen)} class, expected two or more",
            hint=f"label more of the data, or test on another {task.group}",
        )


def _shape(samples: Samples) -> tuple[object, ...]:
    return row_shapes(samples), samples.target.shape[1:]


def _said(samples: Samples, task: Task) -> str:
    shapes = ", ".join(f"{name} {list(rows.shape)}" for name, rows in samples.inputs.items())
    labels = f" with labels {samples.labels}" if samples.labels else ""
    return f"{task.unit}s {shapes}{labels}"


def _is_finite(rows: Rows) -> bool:
    if rows.dtype.kind != "f":
        return True
    return all(bool(np.isfinite(part).all()) for part in chunks(rows))
