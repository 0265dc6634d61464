"""Labelled windows as an archive that `edgewright data import` and the activity recipe read: every
window is a recording of its own, so that none is ever cut across two.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from edgewright._npz import encode_npz
from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.runtimes.base import Array

WINDOWS = "x"
SOMEBODY = "device"
"""Whose windows they are when nobody said."""


def windows_of(arrays: Mapping[str, Array], shape: Sequence[int], *, source: str) -> Array:
    """The windows of an npz, each of this shape.

    Raises:
        InputError: no array of that name, another shape, or numbers that are not finite.
    """
    windows = arrays.get(WINDOWS)
    if windows is None:
        raise InputError(
            f"{source} has no array called {WINDOWS}, it has {sorted(arrays)}",
            hint="store what the model was asked under that name",
        )
    if windows.ndim != 1 + len(shape) or windows.shape[1:] != tuple(shape):
        raise InputError(
            f"{source}: {WINDOWS} has shape {list(windows.shape)}, expected [samples, "
            f"{', '.join(map(str, shape))}]"
        )
    if windows.dtype.kind not in "fiu" or not np.isfinite(windows).all():
        raise InputError(f"{source}: {WINDOWS} holds values that are no finite numbers")
    return windows


def labelled_archive(
    windows: Array,
    people: Array | None,
    labels: Mapping[int, str],
    *,
    channels: Sequence[Channel],
    rate_hz: float,
) -> bytes:
    """An npz of the labelled windows, the same bytes for the same windows and labels.

    Raises:
        InputError: people were given, but not one for each window.
    """
    if people is not None and people.shape != (len(windows),):
        raise InputError(
            f"{len(windows)} windows and subjects of shape {list(people.shape)} do not pair",
            hint="give every window one subject, or none",
        )
    chosen = sorted(labels)
    length = windows.shape[1]
    whose = [SOMEBODY if people is None else str(people[sample]) for sample in chosen]
    return encode_npz(
        {
            "X": windows[chosen].reshape(-1, windows.shape[2]).astype(np.float32),
            "label": np.repeat([labels[sample] for sample in chosen], length),
            "subject": np.repeat(whose, length),
            "recording": np.repeat([f"sample-{sample}" for sample in chosen], length),
            "channels": np.array([channel.name for channel in channels]),
            "units": np.array([channel.unit for channel in channels]),
            "fs": np.array(rate_hz),
        }
    )
