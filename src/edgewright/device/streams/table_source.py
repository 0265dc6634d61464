"""Samples from a file: CSV with a header, or JSON lines. A replay of what a sensor once said.

What lies deeper in a JSON line is a column with a dotted name, as in a live source's message.
"""

import asyncio
import codecs
import csv
import itertools
import json
import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from edgewright._fs import file_errors
from edgewright.clock import Clock
from edgewright.device.streams.base import Samples
from edgewright.device.streams.reading import TIME_UNITS_S, check_time_unit, number_in
from edgewright.errors import InputError
from edgewright.wire.samples import flat

_CHUNK_ROWS = 256
_LINE_LIMIT = 64 << 10


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Where values stand: one column per channel, and the one that holds the time.

    Without a time column the rows are `1 / rate_hz` apart.
    """

    channels: tuple[str, ...]
    time: str = ""
    time_unit: str = "s"
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        check_time_unit(self.time_unit)
        if not self.time and not self.rate_hz:
            raise ValueError("either a time column or a rate is needed")


class TableSource:
    """Rows of a file in their order, as fast as they can be read, or at `speed` times the pace of
    their own clock.
    """

    def __init__(
        self, path: Path, columns: Columns, *, clock: Clock, speed: float | None = None
    ) -> None:
        self._path = path
        self._columns = columns
        self._clock = clock
        self._speed = speed

    async def chunks(self) -> AsyncGenerator[Samples, None]:
        """Samples of up to 256 rows; of one row when the pace is kept."""
        rows_at_once = _CHUNK_ROWS if self._speed is None else 1
        with file_errors(self._path, doing="reading"), self._path.open("rb") as file:
            rows = self._rows(file)
            pace = _Pace(self._clock, self._speed)
            while chunk := list(itertools.islice(rows, rows_at_once)):
                table = np.array(chunk, np.float64)
                await pace.wait_for(float(table[0, 0]))
                yield Samples(time_s=table[:, 0], values=table[:, 1:])
                await asyncio.sleep(0)

    def _rows(self, file: IO[bytes]) -> Iterator[list[float]]:
        """Time and channels of each row."""
        columns = self._columns
        wanted = ([columns.time] if columns.time else []) + list(columns.channels)
        is_json = self._path.suffix in {".jsonl", ".ndjson"}
        records = _json_records(file, self._path) if is_json else _csv_records(file, self._path)
        for number, (line, record) in enumerate(records):
            try:
                values = [number_in(record, name) for name in wanted]
            except InputError as error:
                where = f"{self._path}:{line}"
                raise InputError(f"{where}: {error.message}", hint=error.hint) from error
            if columns.time:
                values[0] *= TIME_UNITS_S[columns.time_unit]
            else:
                values.insert(0, number / (columns.rate_hz or math.nan))
            yield values


class _Pace:
    """Waits until a row is due. Where the recording's clock stepped back the pace begins anew."""

    def __init__(self, clock: Clock, speed: float | None) -> None:
        self._clock = clock
        self._speed = speed
        self._first: tuple[float, float] | None = None
        self._last_s = -math.inf

    async def wait_for(self, time_s: float) -> None:
        if self._speed is None or not math.isfinite(time_s):
            return
        if self._first is None or time_s < self._last_s:
            self._first = (self._clock.monotonic_s(), time_s)
        self._last_s = time_s
        started_s, first_s = self._first
        due_s = started_s + (time_s - first_s) / self._speed
        if (wait_s := due_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(wait_s)


def read_header(path: Path) -> tuple[str, ...]:
    """The column names of a file.

    Raises:
        InputError: the file is absent, empty, or its first line is no header.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} is no file but a pipe or a device, which can be read once only",
            hint="save the samples first",
        )
    with file_errors(path, doing="reading"), path.open("rb") as file:
        line = next(_lines(file, path), (0, ""))[1]
    if path.suffix in {".jsonl", ".ndjson"}:
        return tuple(_json_record(line, f"{path}:1"))
    return _csv_header(line, path)


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    for number in itertools.count(1):
        raw = file.readline(_LINE_LIMIT + 1)
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)  # spreadsheets put it there
        if not raw:
            return
        if len(raw) > _LINE_LIMIT:
            raise InputError(
                f"{path}:{number}: a line longer than {_LINE_LIMIT} bytes",
                hint="this is not a table of samples",
            )
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise InputError(
                f"{path}:{number}: not UTF-8 text", hint="this is not a table of samples"
            )
        if text:
            yield number, text


def _csv_header(line: str, path: Path) -> tuple[str, ...]:
    names = tuple(name.strip() for name in next(csv.reader([line]), []))
    if len(names) == 1 and (found := {*";\t|"} & {*line}):
        raise InputError(
            f"{path}: cells are separated by {min(found)!r}, expected commas",
            hint="write it anew with commas between cells and points in numbers",
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"{path}: {names.count(twice[0])} columns have the name {twice[0]!r}",
            hint="give each its own",
        )
    if not names or any(_is_number(name) for name in names):
        raise InputError(
            f"{path}: the first line is {line[:60]!r}, expected a header with column names",
            hint="put a line like t,acc_x,acc_y on top",
        )
    return names


def _csv_records(file: IO[bytes], path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    lines = _lines(file, path)
    header = _csv_header(next(lines, (0, ""))[1], path)
    for number, line in lines:
        cells = next(csv.reader([line]))
        if len(cells) != len(header):
            raise InputError(
                f"{path}:{number}: {len(cells)} cells, expected {len(header)} as in the header",
                hint="mend or delete that line",
            )
        yield number, dict(zip(header, cells, strict=True))


def _json_records(file: IO[bytes], path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in _lines(file, path):
        yield number, _json_record(line, f"{path}:{number}")


def _json_record(line: str, where: str) -> Mapping[str, object]:
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}", hint="mend or delete that line") from error
    if not isinstance(record, dict):
        raise InputError(f"{where}: {line[:60]!r} is not a JSON object with named values")
    return flat(record)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
