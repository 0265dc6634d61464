"""Label Studio exports of time series (JSON and JSON-MIN): tasks that point at a CSV file or carry
their columns, and the ranges that people labelled in them.

    [{"id": 7, "data": {"csv": "walk.csv", "subject": "ann"},
      "annotations": [{"result": [{"type": "timeserieslabels",
        "value": {"start": 0.5, "end": 9.5, "timeserieslabels": ["walking"]}}]}]}]

Ranges are in the unit of the time column, or in samples where none is mapped. What nobody labelled
stays unlabelled; of several annotations the ground truth counts, else the first that was not
cancelled. A CSV is looked for beside the export by its name, with and without the prefix that an
upload gives it.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright._fs import read_limited
from edgewright.contract import decode_json
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.csv import read_csv_table
from edgewright.workbench.data.sources.joined import join_datasets
from edgewright.workbench.data.sources.table import (
    Column,
    Table,
    dataset_from_table,
    seconds_of,
)

_LIMIT_BYTES = 512 * 2**20
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_KIND = "timeserieslabels"


class _Range(msgspec.Struct):
    """Fields are theirs."""

    start: float | str
    end: float | str
    timeserieslabels: list[str] = []


class _Annotation(msgspec.Struct):
    result: list[dict[str, Any]] = []
    was_cancelled: bool = False
    ground_truth: bool = False


def read_label_studio(path: Path, mapping: SourceMapping) -> Dataset:
    """One recording for each task, called by the task's id.

    Raises:
        InputError: absent, no export of time series, or a file that it points at is not there.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    tasks = decode_json(content, list[dict[str, Any]], source=str(path))
    if not tasks:
        raise InputError(f"{path}: no tasks in it", hint="export the project again")
    return join_datasets(_parts(tasks, mapping, path), mapping, source=path.name)


def _parts(
    tasks: list[dict[str, Any]], mapping: SourceMapping, path: Path
) -> Iterator[tuple[str, Dataset]]:
    for number, task in enumerate(tasks, start=1):
        name = str(task.get("id", number))
        where = f"{path}: task {name}"
        # The short form (JSON-MIN) has no "data": what belongs to the task stands beside it.
        facts = convert(task.get("data", task), dict[str, Any], source=where)
        table = _table(facts, mapping, path, where)
        label = _labels(table, _ranges(task, where), mapping, where)
        columns = {**table.columns, mapping.label: label}
        columns |= {
            key: np.full(table.rows, str(value))
            for key, value in facts.items()
            if key not in columns and isinstance(value, str | int)
        }
        columns[mapping.recording] = np.full(table.rows, name)
        yield name, dataset_from_table(Table(columns, table.rows, where), mapping)


def _table(facts: dict[str, Any], mapping: SourceMapping, path: Path, where: str) -> Table:
    """The columns of a task: in it, or in the file that it points at."""
    for value in facts.values():
        if isinstance(value, str) and PurePosixPath(value.partition("?")[0]).suffix == ".csv":
            return read_csv_table(_file_beside(path, value, where), mapping)
        if isinstance(value, dict):
            columns = convert(value, dict[str, list[float | str | None]], source=where)
            return _inline(columns, where)
    raise InputError(
        f"{where} names no .csv file and carries no columns",
        hint="export time series with their data beside them",
    )


def _inline(columns: dict[str, list[float | str | None]], where: str) -> Table:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{where}: its columns have {lengths} values, expected as many in each")
    arrays: dict[str, Column] = {
        name: np.array(["" if value is None else value for value in values], object)
        for name, values in columns.items()
    }
    return Table(arrays, next(iter(lengths.values()), 0), where)


def _file_beside(path: Path, named: str, where: str) -> Path:
    """The file by its own name only: an export cannot reach out of its folder."""
    name = PurePosixPath(named.partition("?")[0]).name
    for candidate in (name, _UPLOAD_PREFIX.sub("", name)):
        if (path.parent / candidate).is_file():
            return path.parent / candidate
    raise InputError(
        f"{where} points at {named!r}, and there is no {name} beside the export",
        hint=f"put it into {path.parent}",
    )


def _ranges(task: dict[str, Any], where: str) -> list[_Range]:
    annotations = [
        each
        for each in convert(task.get("annotations", []), list[_Annotation], source=where)
        if not each.was_cancelled
    ]
    if annotations:
        best = next((each for each in annotations if each.ground_truth), annotations[0])
        raw = [each.get("value", {}) for each in best.result if each.get("type") == _KIND]
    else:
        raw = [
            each
            for value in task.values()
            if isinstance(value, list)
            for each in value
            if isinstance(each, dict) and _KIND in each
        ]
    return [convert(each, _Range, source=where) for each in raw]


def _labels(table: Table, ranges: list[_Range], mapping: SourceMapping, where: str) -> Column:
    """A label for each row, "" where there is none; the later range wins."""
    clock: NDArray[np.float64] = np.arange(table.rows, dtype=np.float64)
    if mapping.time:
        clock = seconds_of(table.column(mapping.time, role="time"), mapping, where)
    labels = np.full(table.rows, "", object)
    for each in ranges:
        if len(each.timeserieslabels) != 1:
            raise InputError(f"{where}: a range has labels {each.timeserieslabels}, expected one")
        ends = np.array([each.start, each.end], object)
        start, end = seconds_of(ends, mapping, where) if mapping.time else ends.astype(float)
        labels[(clock >= start) & (clock <= end)] = each.timeserieslabels[0]
    return labels
