"""The reference that a model's inputs are judged by: inside a bundle, or beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgewright.bundle import Bundle
from edgewright.contract import Contract
from edgewright.device.drift import DriftMonitor, Reference
from edgewright.device.drift.files import decode_reference, encode_reference, load_reference
from edgewright.errors import InputError

if TYPE_CHECKING:
    from edgewright.device.serve import Servable

BLOB = "drift.npz"
"""A bundle's file of this name is the reference; `bundle build --drift` puts it there."""


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


def watched_by_bundle(servable: "Servable", bundle: Bundle) -> "Servable":
    """The model with the judge that its bundle brings, if it does."""
    for blob in bundle.manifest.blobs:
        if blob.name == BLOB:
            reference = decode_reference(bundle.read(blob), source=BLOB)
            return _watched(servable, reference, source=BLOB)
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
