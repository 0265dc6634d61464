"""numpy archives: `X [N, C]`, `label`, `subject`, `recording`, optional `time`, `channels`,
`units`, `fs`, `label_names` with `label_ids`.
"""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import ChannelMapping, SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources._limits import check_bytes, check_values
from edgewright.workbench.data.sources.table import Table, dataset_from_table


def read_npz(path: Path, mapping: SourceMapping) -> Dataset:
    """The recordings of an archive; what it says of itself fills in what the mapping leaves out.

    Raises:
        InputError: absent, truncated, not an archive, or without the arrays that the mapping names.
    """
    arrays = _load(path)
    if mapping.samples not in arrays:
        raise InputError(
            f"{path}: no array {mapping.samples!r}", hint=f"it has {sorted(arrays)}; map `samples`"
        )
    samples = arrays[mapping.samples]
    if samples.ndim != 2 or samples.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {mapping.samples!r} must be numbers [time, channels], "
            f"got {samples.dtype} {list(samples.shape)}"
        )
    mapping = _filled(mapping, arrays, samples.shape[1])
    names = _column_names(arrays, samples.shape[1])
    columns: dict[str, NDArray[Any]] = {
        name: array for name, array in arrays.items() if array.shape == samples.shape[:1]
    }
    columns |= {name: samples[:, position] for position, name in enumerate(names)}
    return dataset_from_table(Table(columns, len(samples), path.name), mapping)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with file_errors(path, doing="reading"), path.open("rb") as file:
        check_bytes(path)
        try:
            check_values(_declared_values(file), path)
            with np.load(file, allow_pickle=False) as archive:
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise InputError(f"{path}: one bare array, expected an .npz archive")
                return {name: archive[name] for name in archive.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: not a readable .npz archive: {error}", hint="write or copy it again"
            ) from error


def _declared_values(file: IO[bytes]) -> int:
    """What the heads of the arrays promise, read before any array is: a small archive can unpack
    to more than memory holds.
    """
    if not zipfile.is_zipfile(file):
        return 0
    total = 0
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with archive.open(member) as array:
                version = npy_format.read_magic(array)
                if version == (1, 0):
                    shape, _, dtype = npy_format.read_array_header_1_0(array)
                else:
                    shape, _, dtype = npy_format.read_array_header_2_0(array)
                total += math.prod(shape) * max(dtype.itemsize // 4, 1)
    file.seek(0)
    return total


def _column_names(arrays: dict[str, NDArray[Any]], count: int) -> list[str]:
    own = arrays.get("channels")
    if own is not None and own.shape == (count,):
        return [str(name) for name in own.tolist()]
    return [str(position) for position in range(count)]


def _filled(mapping: SourceMapping, arrays: dict[str, NDArray[Any]], count: int) -> SourceMapping:
    changes: dict[str, Any] = {}
    if not mapping.channels:
        units = arrays.get("units")
        own_units = (
            units.tolist() if units is not None and units.shape == (count,) else [""] * count
        )
        changes["channels"] = tuple(
            ChannelMapping(column=name, unit=str(unit))
            for name, unit in zip(_column_names(arrays, count), own_units, strict=True)
        )
    rate = arrays.get("fs")
    if mapping.rate_hz is None and not mapping.time and rate is not None and rate.size == 1:
        changes["rate_hz"] = float(rate.item())
    if not mapping.labels and {"label_names", "label_ids"} <= set(arrays):
        named = zip(arrays["label_ids"].tolist(), arrays["label_names"].tolist(), strict=True)
        table = {str(key): str(name) for key, name in named if key >= 0}
        changes["labels"] = table
        changes["label_names"] = mapping.label_names or tuple(table.values())
    try:
        return msgspec.structs.replace(mapping, **changes)
    except ValueError as error:
        raise InputError(f"the arrays do not fit a dataset: {error}") from error
