"""The reference that a model's inputs are judged by: inside a bundle, or beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgewright.bundle import DRIFT_BLOB, Bundle
from edgewright.contract import Contract
from edgewright.device.drift import DriftMonitor, Reference, build_reference
from edgewright.device.drift.files import decode_reference, encode_reference, load_reference
from edgewright.errors import InputError
from edgewright.runtimes.base import Array

if TYPE_CHECKING:
    from edgewright.device.serve import Servable

MOST_WINDOWS = 4096
"""More of them would cost time and no longer change what is normal."""
_FEWEST_OF_A_GROUP = 64
_MOST_GROUPS = MOST_WINDOWS // _FEWEST_OF_A_GROUP
_SEED = 0
"""A reference is a pure function of its windows."""


def reference_blob(path: Path, contract: Contract, *, model: str) -> bytes:
    """A reference for a bundle, from one that was saved or from training windows.

    Raises:
        InputError: the file holds neither, or other windows than the model takes.
    """
    tensor = contract.inputs[0]
    length = tensor.shape[1] if len(tensor.shape) == 3 else 0
    if not isinstance(length, int) or not length:
        raise InputError(
            f"{path}: drift is watched on windows, input {tensor.name!r} is {list(tensor.shape)}",
            hint="leave --drift out",
        )
    reference = load_reference(path, length=length)
    _check(reference, contract, source=str(path), model=model)
    return encode_reference(reference)


def training_reference(windows: Array, groups: Array, contract: Contract) -> bytes:
    """A reference for a bundle, from the windows that its model was trained on.

    Raises:
        InputError: they are too few, or of too few people.
    """
    channels = tuple(channel.name for channel in contract.inputs[0].channels)
    is_whole = np.asarray(np.isfinite(windows).all(axis=(1, 2)))
    rows = some_of_each(groups, is_whole)
    reference = build_reference(
        windows[rows],
        channels=channels or tuple(map(str, range(windows.shape[2]))),
        groups=groups[rows],
        rng=np.random.default_rng(_SEED),
    )
    return encode_reference(reference)


def some_of_each(groups: Array, is_good: Array) -> Array:
    """Good rows in their order, of each group only the first ones where all are too many."""
    names = np.unique(groups[is_good])
    most = max(_FEWEST_OF_A_GROUP, MOST_WINDOWS // max(1, len(names)))
    rows = [np.flatnonzero(is_good & (groups == name))[:most] for name in names[:_MOST_GROUPS]]
    return np.sort(np.concatenate(rows)) if rows else np.zeros(0, np.intp)


def watched_by_bundle(servable: "Servable", bundle: Bundle) -> "Servable":
    """The model with the judge that its bundle brings, if it does."""
    for blob in bundle.manifest.blobs:
        if blob.name == DRIFT_BLOB:
            reference = decode_reference(bundle.read(blob), source=DRIFT_BLOB)
            return _watched(servable, reference, source=DRIFT_BLOB)
    return servable


def watched_by_file(servable: "Servable", path: Path) -> "Servable":
    """The model with the judge of a file, instead of what its bundle brings.

    Raises:
        InputError: it is no reference for this model.
    """
    return _watched(servable, load_reference(path), source=str(path))


def _watched(servable: "Servable", reference: Reference, *, source: str) -> "Servable":
    _check(reference, servable.model.contract, source=source, model=servable.name)
    return msgspec.structs.replace(servable, drift=DriftMonitor(reference))


def _check(reference: Reference, contract: Contract, *, source: str, model: str) -> None:
    first = contract.inputs[0]
    expected = (reference.length, len(reference.channels))
    if len(first.shape) != 3 or first.shape[1:] != expected:
        raise InputError(
            f"{source}: the reference has windows {list(expected)}, input {first.name!r} of model "
            f"{model!r} is {list(first.shape)}",
            hint="build the reference from windows as the model takes them",
        )
