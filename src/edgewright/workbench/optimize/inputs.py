"""Samples of a recipe as the npz files that `optimize` takes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import write_atomic
from edgewright._npz import encode_npz
from edgewright.workbench.data import Samples, draw_calibration

CALIBRATION_ROWS = 512


def write_calibration(train: Samples, folder: Path, seed: int) -> Path:
    """Typical training rows as the npz that `optimize` takes."""
    drawn = draw_calibration(train, count=CALIBRATION_ROWS, seed=seed)
    path = folder / "calib.npz"
    write_atomic(path, encode_npz(input_arrays(drawn)))
    return path


def write_evaluation(held_out: Samples, folder: Path) -> Path:
    """Rows that judge, with their targets and groups."""
    path = folder / "eval.npz"
    arrays = {**input_arrays(held_out), "y": held_out.target, "group": held_out.group}
    write_atomic(path, encode_npz(arrays))
    return path


def input_arrays(samples: Samples) -> dict[str, NDArray[Any]]:
    """The samples' inputs as arrays in memory."""
    return {name: np.ascontiguousarray(rows[:]) for name, rows in samples.inputs.items()}
