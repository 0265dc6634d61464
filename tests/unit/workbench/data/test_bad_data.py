"""Bad recordings from the file to the report: every one is told by name, and none is lost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import (
    ChannelMapping,
    DataReport,
    DatasetStore,
    ImportOrder,
    SourceMapping,
    import_source,
    read_npz,
)

MAPPING = SourceMapping(
    channels=tuple(ChannelMapping(column=f"a{x}", name=f"acc_{x}", unit="g") for x in "xyz"),
    time="t",
)
HEADER = "t,ax,ay,az,label,subject,recording\n"
Rows = list[list[str]]


def good_rows() -> Rows:
    rng = np.random.default_rng(0)
    return [
        [f"{at / 50:.2f}", *(f"{v:.4f}" for v in rng.normal((0, 0, 1), 0.01)), label, who, who]
        for who in ("ann", "bob", "eve")
        for at in range(200)
        for label in ["walk" if at < 100 else "sit"]
    ]


def put(rows: Rows, first: int, last: int, column: int, text: str) -> None:
    for row in rows[first:last]:
        row[column] = text


def in_metres(rows: Rows) -> None:
    for row in rows:
        row[1:4] = [f"{9.80665 * float(v):.4f}" for v in row[1:4]]


def bob_swapped(rows: Rows) -> None:
    for row in rows:
        if row[5] == "bob":
            row[1], row[3] = row[3], row[1]


def clock_back(rows: Rows) -> None:
    for row in rows[100:200]:
        row[0] = f"{float(row[0]) - 1.5:.2f}"


CASES: dict[str, tuple[Callable[[Rows], None], str, str, str]] = {
    "wrong units": (in_metres, "gravity", "error", "the file is in m/s2, map the unit"),
    "swapped axes": (bob_swapped, "orientation", "warning", "subject bob: gravity on acc lies"),
    "one class": (lambda rows: put(rows, 0, 600, 4, "walk"), "classes", "error", "two or more"),
    "1e9": (lambda rows: put(rows, 7, 8, 2, "1e9"), "huge", "error", "no sensor reads that"),
    "NaN burst": (lambda rows: put(rows, 20, 80, 3, "nan"), "not-finite", "error", "60 samples"),
    "holes": (lambda rows: put(rows, 20, 80, 3, ""), "not-finite", "error", "60 samples"),
    "clock back": (clock_back, "clock", "warning", "ran backwards (split there)"),
    "flat": (lambda rows: put(rows, 20, 120, 1, "0.25"), "flat", "warning", "a stuck sensor?"),
}


def imported(folder: Path, rows: Rows) -> DataReport:
    (folder / "walk.csv").write_text(HEADER + "".join(",".join(row) + "\n" for row in rows))
    order = ImportOrder(source="walk.csv", mapping=MAPPING, folder=folder)
    return import_source(order, DatasetStore(folder / "store"))


def test_good_rows_have_no_findings(tmp_path: Path) -> None:
    assert imported(tmp_path, good_rows()).findings == ()


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_reported_and_kept(tmp_path: Path, case: str) -> None:
    spoil, code, severity, text = CASES[case]
    rows = good_rows()
    spoil(rows)
    report = imported(tmp_path, rows)
    found = [f for f in report.findings if f.code == code]
    assert found, report.findings
    assert found[0].severity == severity
    assert text in found[0].message
    stored = DatasetStore(tmp_path / "store").open(report.content_hash)
    assert stored.sample_count == len(rows)


def test_three_samples_are_stored_and_told(tmp_path: Path) -> None:
    report = imported(tmp_path, good_rows()[:3])
    assert report.samples == 3
    assert {"short", "classes", "subjects"} <= {f.code for f in report.findings}


@pytest.mark.parametrize(("text", "message"), [("", "the file is empty"), (HEADER, "has no rows")])
def test_an_empty_file_is_an_error_and_leaves_nothing(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "walk.csv").write_text(text)
    order = ImportOrder(source="walk.csv", mapping=MAPPING, folder=tmp_path)
    with pytest.raises(InputError, match=message):
        import_source(order, DatasetStore(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_a_clock_in_the_wrong_unit_is_told(tmp_path: Path) -> None:
    rows = good_rows()
    for row in rows:
        row[0] = f"{1000 * float(row[0]):.0f}"
    with pytest.raises(InputError, match=r"samples are 20 s apart.*set time_unit"):
        imported(tmp_path, rows)


def test_a_billion_values_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """An archive of some kilobytes whose head promises 4 GB."""
    import io
    import zipfile

    head = io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": (166_666_667, 6)}
    np.lib.format.write_array_header_1_0(head, facts)
    with zipfile.ZipFile(tmp_path / "big.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", head.getvalue() + bytes(10_000))
    with pytest.raises(InputError, match=r"1e\+09 values, the most for one file is 2\.68e\+08"):
        read_npz(tmp_path / "big.npz", SourceMapping())


def test_two_channels_of_one_name_are_refused() -> None:
    twice = (ChannelMapping(column="a", name="acc_x"), ChannelMapping(column="b", name="acc_x"))
    with pytest.raises(ValueError, match=r"'acc_x'.* there twice"):
        SourceMapping(channels=twice)


def test_a_rate_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"resample_hz is 1e\+12, expected .* at most 1e\+07"):
        SourceMapping(resample_hz=1e12)
