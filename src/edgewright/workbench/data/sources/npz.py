"""numpy archives: `X [N, C]`, `label`, `subject`, `recording`, optional `time`, `channels`,
`units`, `fs`, `label_names` with `label_ids`.
"""

import math
import re
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
from edgewright.workbench.data.sources.table import Table, dataset_from_table, word_of

_NEGATIVE = re.compile(r"-\d+")


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
    mapping = _filled(mapping, arrays, samples.shape[1], path)
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


def _filled(
    mapping: SourceMapping, arrays: dict[str, NDArray[Any]], count: int, path: Path
) -> SourceMapping:
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
        if rate.dtype.kind not in "fiu":
            raise InputError(f"{path}: 'fs' is {rate.item()!r}, expected a number of Hz")
        changes["rate_hz"] = float(rate.item())
    if not mapping.labels and "label_names" in arrays:
        table = _label_table(arrays, mapping, path)
        changes["labels"] = table
        changes["label_names"] = mapping.label_names or tuple(dict.fromkeys(table.values()))
    try:
        return msgspec.structs.replace(mapping, **changes)
    except ValueError as error:
        raise InputError(f"the arrays do not fit a dataset: {error}") from error


def _label_table(
    arrays: dict[str, NDArray[Any]], mapping: SourceMapping, path: Path
) -> dict[str, str]:
    """The name of every number in `label`; a negative number is no label. Without `label_ids` the
    names are those that `label` itself holds, in their order.
    """
    names = [str(name) for name in arrays["label_names"].ravel().tolist()]
    ids, labels = arrays.get("label_ids"), arrays.get(mapping.label)
    if ids is None and labels is not None and labels.dtype.kind not in "US":
        raise InputError(
            f"{path}: 'label_names' without 'label_ids' does not say which number is which name",
            hint="add label_ids, the number of each name, or map `labels`",
        )
    if ids is not None and ids.size != len(names):
        raise InputError(
            f"{path}: {len(names)} 'label_names' and {ids.size} 'label_ids', expected as many"
        )
    keys = [word_of(key) for key in (ids.ravel() if ids is not None else arrays["label_names"])]
    named = zip(keys, names, strict=True)
    return {key: name for key, name in named if not _NEGATIVE.fullmatch(key)}
