"""A folder of files of any known kind, as one dataset: the files must agree on channels and
rate.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset, Recording, natural_order

Readers = Mapping[str, Callable[[Path, SourceMapping], Dataset]]


def read_folder(path: Path, mapping: SourceMapping, *, readers: Readers) -> Dataset:
    """Every file below the folder whose suffix is known, in the order of their names.

    A recording is named by its file where names would collide.

    Raises:
        InputError: no such file, or two that disagree on channels or rate.
    """
    files = folder_files(path, readers)
    if not files:
        raise InputError(f"{path}: no file in it is of a known kind", hint=" ".join(readers))
    parts = {file: readers[file.suffix.lower()](file, mapping) for file in files}
    first = parts[files[0]]
    for file, part in parts.items():
        if part.channels != first.channels or part.rate_hz != first.rate_hz:
            raise InputError(
                f"{file} and {files[0]} disagree on channels or rate",
                hint="set rate_hz, or import them apart and merge them",
            )
    labels = mapping.label_names or natural_order(
        {n for p in parts.values() for n in p.label_names}
    )
    recordings = [
        each for file, part in parts.items() for each in _renamed(part, labels, file, path)
    ]
    notes = tuple(f"{file.name}: {note}" for file, part in parts.items() for note in part.notes)
    return Dataset(tuple(recordings), first.channels, labels, first.rate_hz, path.name, notes=notes)


def folder_files(path: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """The files of known kinds below a folder, in the order of their names."""
    with file_errors(path, doing="reading"):
        return tuple(
            sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        )


def _renamed(part: Dataset, labels: tuple[str, ...], file: Path, root: Path) -> list[Recording]:
    table = np.array([*(labels.index(name) for name in part.label_names), -1], np.int16)
    stem = file.relative_to(root).with_suffix("").as_posix()
    alone = len(part.recordings) == 1
    return [
        replace(each, label=table[each.label], name=stem if alone else f"{stem}/{each.name}")
        for each in part.recordings
    ]
