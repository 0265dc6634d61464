"""Comma-separated files with a header line, read in blocks: memory holds numbers, not texts.

Semicolons and tabs are taken for commas where the header has no comma.
"""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources._limits import check_bytes, check_values
from edgewright.workbench.data.sources.table import Column, Table, dataset_from_table

_BLOCK_ROWS = 16_384
_HEADER_CHARS = 2**16
_Block = list[list[str]]


def read_csv(path: Path, mapping: SourceMapping) -> Dataset:
    """The recordings of one file; its stem names the recording where no column does.

    Raises:
        InputError: absent, empty, ragged, not text, too large, or without the mapped columns.
    """
    table = read_csv_table(path, mapping)
    if mapping.recording not in table.columns and mapping.subject_is:
        named = np.full(table.rows, path.stem)
        table = Table({**table.columns, mapping.recording: named}, table.rows, table.source)
    return dataset_from_table(table, mapping)


def read_csv_table(path: Path, mapping: SourceMapping) -> Table:
    """The columns of one file that the mapping speaks of (all of them by name, for errors).

    Raises:
        InputError: absent, empty, ragged, not text, or too large.
    """
    with file_errors(path, doing="reading"), path.open(newline="", encoding="utf-8-sig") as file:
        check_bytes(path)
        try:
            reader = csv.reader(file, delimiter=_delimiter(file))
            header = _header(reader, path)
            columns, rows = _columns(header, reader, _numbers_of(mapping), path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: not a CSV text: {error}", hint="export it again") from error
    return Table(columns, rows, path.name)


def _numbers_of(mapping: SourceMapping) -> frozenset[str]:
    numbers = {each.column for each in mapping.channels}
    return frozenset(numbers | ({mapping.time} if mapping.time_unit != "iso" else set()))


def _delimiter(file: TextIO) -> str:
    """What stands between the names of the header: a comma, or what some exports write instead."""
    header = file.readline(_HEADER_CHARS)
    file.seek(0)
    others = [each for each in ";\t" if each in header]
    return others[0] if others and "," not in header else ","


def _header(reader: Iterator[list[str]], path: Path) -> list[str]:
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise InputError(f"{path}: the file is empty", hint="export it again")
    if len(set(header)) != len(header):
        raise InputError(f"{path}: column names {header} repeat", hint="give each its own name")
    return header


def _columns(
    header: list[str], reader: Iterator[list[str]], numbers: frozenset[str], path: Path
) -> tuple[dict[str, Column], int]:
    parts: dict[str, list[Column]] = {name: [] for name in header}
    words: dict[str, str] = {}
    rows = 0
    while block := list(itertools.islice(reader, _BLOCK_ROWS)):
        block = _checked(block, len(header), rows, path)
        rows += len(block)
        check_values(rows * len(header), path)
        for name, texts in zip(header, zip(*block, strict=True), strict=False):
            parts[name].append(_column(texts, words, is_number=name in numbers))
    empty = np.zeros(0, object)
    return {name: np.concatenate(part) if part else empty for name, part in parts.items()}, rows


def _checked(block: _Block, width: int, before: int, path: Path) -> _Block:
    """The block without its empty lines, every other line as long as the header."""
    for number, row in enumerate(block, start=before + 2):
        if row and len(row) != width:
            raise InputError(
                f"{path}: line {number} has {len(row)} fields, the header {width}",
                hint="a truncated export? mend that line",
            )
    return [row for row in block if row]


def _column(texts: tuple[str, ...], words: dict[str, str], *, is_number: bool) -> Column:
    """Numbers where all are; otherwise texts, each kept once."""
    if is_number:
        try:
            return np.array([float(text or "nan") for text in texts])
        except ValueError:
            pass
    return np.array([words.setdefault(text, text) for text in texts], dtype=object)
