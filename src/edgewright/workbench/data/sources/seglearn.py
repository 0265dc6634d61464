"""SPAR: seven shoulder exercises of ten people on a smartwatch, as the `seglearn` wheel carries
them (Burns et al., Physiological Measurement 2018).

The wheel is installed without its dependencies and never imported: only its data file is read.
"""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.contract import Channel
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset, Recording
from edgewright.workbench.data.sources._unpickle import read_object_npy

_PACKAGE = "seglearn"
_FILE = "watch_dataset.npy"
_RATE_HZ = 50.0
_CHANNELS = (
    *(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"),
    *(Channel(name=f"gyro_{axis}", unit="rad/s") for axis in "xyz"),
)


def seglearn_file() -> Path:
    """Where the installed wheel keeps its recordings.

    Raises:
        UnavailableError: the wheel is not installed.
    """
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _FILE:
            return Path(str(file.locate()))
    raise UnavailableError(
        "the SPAR recordings are not installed",
        hint="pip install --no-deps seglearn==1.2.5",
    )


def read_seglearn(path: Path | None, mapping: SourceMapping) -> Dataset:
    """The 140 exercise sets; `mapping.label_names` may pick and order some of the exercises.

    Raises:
        UnavailableError: the wheel is not installed and no path is given.
        InputError: the file is not what the wheel ships.
    """
    path = path or seglearn_file()
    raw = read_object_npy(path)
    try:
        dataset = Dataset(_recordings(raw), _CHANNELS, _labels(raw), _RATE_HZ, "seglearn")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: not the SPAR recordings: {error!r}",
            hint="pip install --no-deps --force-reinstall seglearn==1.2.5",
        ) from error
    return dataset.with_labels(mapping.label_names) if mapping.label_names else dataset


def _labels(raw: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in raw["y_labels"])


def _recordings(raw: Any) -> tuple[Recording, ...]:
    rows = zip(raw["X"], raw["y"], raw["subject"], raw["side"], strict=True)
    recordings = []
    for number, (samples, label, subject, side) in enumerate(rows):
        hand = "right" if side == 1 else "left"
        recordings.append(
            Recording(
                samples=np.ascontiguousarray(samples, np.float32),
                label=np.full(len(samples), int(label), np.int16),
                subject=str(int(subject)),
                name=f"{number:03d}-{hand}",
                rate_hz=_RATE_HZ,
            )
        )
    return tuple(recordings)
