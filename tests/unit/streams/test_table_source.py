import asyncio
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.streams.table_source import Columns, TableSource, read_header
from edgewright.errors import InputError
from edgewright.testing import FakeClock

XY = Columns(channels=("x", "y"), time="t")


def read(path: Path, columns: Columns = XY, **options: float) -> np.ndarray:
    source = TableSource(path, columns, clock=FakeClock(), **options)

    async def collect() -> list[np.ndarray]:
        return [
            np.column_stack([samples.time_s, samples.values]) async for samples in source.chunks()
        ]

    chunks = asyncio.run(collect())
    return np.concatenate(chunks) if chunks else np.empty((0, 3))


def written(folder: Path, text: str | bytes, name: str = "samples.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    path = written(tmp_path, "y,other,t,x\n2,foo,0.5,1\n\n4,bar,0.6,3\n")
    assert read(path).tolist() == [[0.5, 1, 2], [0.6, 3, 4]]
    assert read_header(path) == ("y", "other", "t", "x")


def test_json_lines_are_read_alike(tmp_path: Path) -> None:
    path = written(
        tmp_path, '{"t": 0.5, "x": 1, "y": 2}\n{"y": null, "t": 0.6, "x": 3}\n', "s.jsonl"
    )
    table = read(path)
    assert table[0].tolist() == [0.5, 1, 2]
    assert table[1, 1] == 3
    assert math.isnan(table[1, 2])


def test_many_rows_come_whole_and_in_order(tmp_path: Path) -> None:
    rows = [[i / 10, i, -i] for i in range(1000)]
    path = written(tmp_path, "t,x,y\n" + "".join(f"{t},{x},{y}\n" for t, x, y in rows))
    assert read(path).tolist() == rows


def test_an_empty_cell_was_not_measured(tmp_path: Path) -> None:
    assert math.isnan(read(written(tmp_path, "t,x,y\n0,,1\n"))[0, 1])


@pytest.mark.parametrize(
    ("unit", "seconds"), [("s", 5.0), ("ms", 5e-3), ("us", 5e-6), ("ns", 5e-9)]
)
def test_time_units_become_seconds(tmp_path: Path, unit: str, seconds: float) -> None:
    columns = Columns(channels=("x",), time="t", time_unit=unit)
    assert read(written(tmp_path, "t,x\n5,1\n"), columns)[0, 0] == pytest.approx(seconds)


def test_rows_without_a_time_are_evenly_spaced(tmp_path: Path) -> None:
    columns = Columns(channels=("x",), rate_hz=4.0)
    assert read(written(tmp_path, "x\n1\n1\n1\n"), columns)[:, 0].tolist() == [0.0, 0.25, 0.5]


def test_the_pace_of_the_samples_is_kept(tmp_path: Path) -> None:
    clock = FakeClock()
    source = TableSource(
        written(tmp_path, "t,x,y\n100,1,1\n101,1,1\n103,1,1\n5,1,1\n7,1,1\n"),
        XY,
        clock=clock,
        speed=2.0,
    )

    async def arrivals() -> list[float]:
        return [clock.monotonic_s() async for _ in source.chunks()]

    assert asyncio.run(arrivals()) == [0.0, 0.5, 1.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a header"),
        ("1,2,3\n", "the first line is '1,2,3', expected a header"),
        ("t,x,z\n0,1,2\n", r":2: no column 'y'"),
        ("t;x;y\n0,5;1;2\n", "separated by ';', expected commas"),
        ("t\tx\ty\n0\t1\t2\n", r"separated by '\\t', expected commas"),
        ("t,x,y,x\n0,1,2,3\n", "2 columns have the name 'x'"),
        (b"ustar\0\0\0\0\n", r":1: not UTF-8 text"),
        ("t,x,y\n0,1\n", r":2: 2 cells, expected 3"),
        ("t,x,y\n0,1,up\n", r":2: column 'y' holds 'up', expected a number"),
        (b"t,x,y\n\xff\xfe,1,2\n", r":2: not UTF-8"),
        ("t,x,y\n" + "1" * 70_000, r":2: a line longer than"),
    ],
)
def test_what_is_no_table_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read(written(tmp_path, text))


@pytest.mark.parametrize("line", ["{", "[1]", '{"t": 0, "x": true, "y": 1}', "[" * 30_000])
def test_bad_json_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"s\.jsonl:1: "):
        read(written(tmp_path, line + "\n", "s.jsonl"))


def test_a_table_of_a_spreadsheet_begins_with_a_mark(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufefft,x,y\r\n0.5,1,2\r\n")
    assert (read_header(path), read(path).tolist()) == (("t", "x", "y"), [[0.5, 1, 2]])


def test_what_lies_deeper_in_a_json_line_has_a_dotted_name(tmp_path: Path) -> None:
    path = written(tmp_path, '{"t": 0.5, "acc": {"x": 1, "y": 2}}\n', "s.jsonl")
    columns = Columns(channels=("acc.x", "acc.y"), time="t")
    assert read_header(path) == ("t", "acc.x", "acc.y")
    assert read(path, columns).tolist() == [[0.5, 1, 2]]


def test_what_can_be_read_once_only_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe or a device"):
        read_header(tmp_path / "pipe")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_header(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "absent.csv")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_samples_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("fuzz.csv", "fuzz.jsonl"):
        try:
            read(written(folder, b"t,x,y\n" + content if name == "fuzz.csv" else content, name))
        except InputError:
            continue


def test_columns_need_a_time_or_a_rate() -> None:
    with pytest.raises(ValueError, match="either a time column or a rate"):
        Columns(channels=("x",))
    with pytest.raises(ValueError, match="time_unit is 'h'"):
        Columns(channels=("x",), time="t", time_unit="h")
