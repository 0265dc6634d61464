"""Comma-separated files with a header line."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.table import Table, dataset_from_table

_LIMIT_BYTES = 4 * 2**30


def read_csv(path: Path, mapping: SourceMapping) -> Dataset:
    """The recordings of one file; its stem names the recording where no column does.

    Raises:
        InputError: absent, empty, ragged, not text, or without the mapped columns.
    """
    header, rows = _read(path)
    columns: dict[str, NDArray[Any]] = {}
    for position, name in enumerate(header):
        columns[name] = np.array([row[position] for row in rows], dtype=object)
    if mapping.recording not in columns and mapping.subject_is:
        columns[mapping.recording] = np.full(len(rows), path.stem)
    return dataset_from_table(Table(columns, len(rows), path.name), mapping)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    with file_errors(path, doing="reading"), path.open(newline="", encoding="utf-8-sig") as file:
        if path.stat().st_size > _LIMIT_BYTES:
            raise InputError(f"{path}: larger than {_LIMIT_BYTES} bytes", hint="split it")
        try:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            rows = [row for row in reader if row]
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: not a CSV text: {error}", hint="export it again") from error
    if not header:
        raise InputError(f"{path}: the file is empty", hint="export it again")
    if len(set(header)) != len(header):
        raise InputError(f"{path}: column names {header} repeat", hint="give each its own name")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(
                f"{path}: line {number} has {len(row)} fields, the header {len(header)}",
                hint="a truncated export? mend that line",
            )
    return header, rows
