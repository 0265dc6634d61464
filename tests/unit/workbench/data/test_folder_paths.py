from pathlib import Path

import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import ChannelMapping, SourceMapping, read_source
from edgewright.workbench.data.sources import _limits

MAPPING = SourceMapping(
    channels=(ChannelMapping(column="v", name="acc_x", unit="g"),),
    rate_hz=50.0,
    path="{label}/{subject}-*",
)


def write(path: Path, rows: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("v\n" + "1\n" * rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("walk/ann-1", "walk/bob-1", "sit/ann-2"):
        write(tmp_path / f"set/{name}.csv")
    return tmp_path


def test_names_of_files_say_who_did_what(folder: Path) -> None:
    dataset = read_source("set", MAPPING, folder=folder)
    said = [(r.name, r.subject, dataset.label_names[r.label[0]]) for r in dataset.recordings]
    assert said == [
        ("sit/ann-2", "ann", "sit"),
        ("walk/ann-1", "ann", "walk"),
        ("walk/bob-1", "bob", "walk"),
    ]


def test_a_file_of_another_form_is_named(folder: Path) -> None:
    write(folder / "set/notes.csv")
    with pytest.raises(InputError, match=r"file 'notes' is not of the form '\{label\}/"):
        read_source("set", MAPPING, folder=folder)


@pytest.mark.parametrize("path", ["{person}/*", "{label}/{label}"])
def test_a_wrong_form_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"expected \{label\} and \{subject\} once"):
        SourceMapping(path=path)


def test_a_file_with_too_many_values_is_refused_before_it_fills_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_limits, "MOST_VALUES", 100)
    write(tmp_path / "set/walk/ann-1.csv", rows=101)
    with pytest.raises(InputError, match="101 values, the most for one file is 100; split it"):
        read_source("set", MAPPING, folder=tmp_path)
