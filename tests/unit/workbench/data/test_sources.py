import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import (
    ChannelMapping,
    Dataset,
    SourceMapping,
    check_dataset,
    read_csv,
    read_npz,
    read_seglearn,
    read_source,
)
from edgewright.workbench.data.sources.seglearn import seglearn_file
from edgewright.workbench.data.sources.table import seconds_of

ACC = tuple(ChannelMapping(column=f"a{axis}", name=f"acc_{axis}", unit="g") for axis in "xyz")
TIMED = SourceMapping(channels=ACC, label="what", subject="who", recording="take", time="t")


def csv_rows(count: int = 120, *, who: str = "ann", take: str = "1", rate_hz: float = 50.0) -> str:
    return "".join(
        f"{at / rate_hz:.4f},0.1,0.2,{0.9 + 0.001 * at:.4f},walk,{who},{take}\n"
        for at in range(count)
    )


HEADER = "t,ax,ay,az,what,who,take\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(text: str) -> Path:
        path = tmp_path / "walk.csv"
        path.write_text(text)
        return path

    return write_file


def archive(path: Path, **changes: Any) -> Path:
    arrays = {
        "X": np.arange(40, dtype=np.float32).reshape(20, 2),
        "label": np.array([3] * 10 + [-1] * 4 + [5] * 6, np.int8),
        "subject": np.array([1] * 10 + [2] * 10),
        "recording": np.array([0] * 10 + [1] * 10),
        "channels": np.array(["acc_x", "gyro_x"]),
        "units": np.array(["m/s2", "deg/s"]),
        "fs": np.float32(50),
        "label_names": np.array(["(unlabelled)", "WALK", "SIT"]),
        "label_ids": np.array([-1, 3, 5]),
        **changes,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


class TestNpz:
    def test_an_archive_that_describes_itself_needs_no_mapping(self, tmp_path: Path) -> None:
        dataset = read_npz(archive(tmp_path / "a.npz"), SourceMapping())
        assert dataset.label_names == ("WALK", "SIT")
        assert [channel.unit for channel in dataset.channels] == ["g", "rad/s"]
        assert dataset.recordings[0].samples[1, 0] == pytest.approx(2 / 9.80665)
        assert dataset.recordings[0].samples[1, 1] == pytest.approx(3 * np.pi / 180)
        assert dataset.recordings[1].label.tolist() == [-1] * 4 + [1] * 6
        assert dataset.rate_hz == 50.0

    def test_axes_can_be_swapped_and_turned_by_the_mapping(self, tmp_path: Path) -> None:
        mapping = SourceMapping(
            channels=(
                ChannelMapping(column="gyro_x", name="acc_x", unit="g", sign=-1),
                ChannelMapping(column="acc_x", name="acc_y", unit="g"),
            )
        )
        first = read_npz(archive(tmp_path / "a.npz"), mapping).recordings[0]
        assert first.samples[2].tolist() == [-5.0, 4.0]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"X": None}, "no array 'X'"),
            ({"X": np.zeros(20, np.float32)}, r"must be numbers \[time, channels\]"),
            ({"X": np.array([["a", "b"]] * 20)}, "must be numbers"),
            ({"X": np.zeros((0, 2), np.float32)}, "no rows|no array|no column"),
            ({"subject": None}, "no column 'subject' for the subject"),
            ({"subject": np.arange(20)}, "holds subjects"),
            ({"fs": None}, "neither a rate nor a time column"),
            ({"units": np.array(["m/s3", "deg/s"])}, "unit 'm/s3' is not known; did you mean"),
            ({"label": np.full(20, 9, np.int8)}, r"labels \['9'\] are not in the label map"),
            ({"label_ids": np.array([3, 5])}, "3 'label_names' and 2 'label_ids'"),
            ({"label_ids": None}, "does not say which number is which name"),
            ({"fs": np.array("fifty")}, "'fs' is 'fifty', expected a number"),
            (
                {"X": np.zeros((33_000, 2)), "label": np.arange(33_000), "label_names": None}
                | dict.fromkeys(("subject", "recording"), np.zeros(33_000, np.int8)),
                "holds 33000 different labels",
            ),
        ],
    )
    def test_what_is_wrong_is_said(
        self, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            read_npz(archive(tmp_path / "a.npz", **changes), SourceMapping())

    @pytest.mark.parametrize("cut", [0, 3, 50, -30])
    def test_a_truncated_archive_is_refused(self, tmp_path: Path, cut: int) -> None:
        path = archive(tmp_path / "a.npz")
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(InputError, match=r"not a readable \.npz archive"):
            read_npz(path, SourceMapping())

    def test_rows_of_one_person_that_lie_apart_are_recordings_of_their_own(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "apart.npz"
        np.savez(
            path,
            X=np.random.default_rng(0).normal(size=(600, 3)),
            label=np.full(600, "walk"),
            subject=np.repeat(["1", "2", "1"], 200),
            fs=50.0,
            units=np.array(["g"] * 3),
        )
        found = read_npz(path, SourceMapping())
        assert [(each.name, each.subject, len(each)) for each in found.recordings] == [
            ("1-1", "1", 200),
            ("1-2", "1", 200),
            ("2", "2", 200),
        ]
        assert "1: 2 stretches of rows lie apart" in found.notes[0]

    def test_ids_that_are_large_floats_stay_apart(self, tmp_path: Path) -> None:
        people = np.array([1000001.0] * 10 + [1000002.0] * 10)
        dataset = read_npz(
            archive(tmp_path / "a.npz", subject=people, recording=None), SourceMapping()
        )
        assert dataset.subjects == ("1000001", "1000002")

    @pytest.mark.parametrize("ids", [[-1.0, 3.0, 5.0], ["-1", "3", "5"]])
    def test_numbers_of_labels_may_be_of_any_type(self, tmp_path: Path, ids: list[Any]) -> None:
        path = archive(tmp_path / "a.npz", label_ids=np.array(ids))
        assert read_npz(path, SourceMapping()).label_names == ("WALK", "SIT")

    def test_names_without_numbers_give_the_order_of_labels_that_are_texts(
        self, tmp_path: Path
    ) -> None:
        words = np.array(["WALK"] * 12 + ["SIT"] * 8)
        names = np.array(["WALK", "SIT"])
        path = archive(tmp_path / "a.npz", label=words, label_ids=None, label_names=names)
        dataset = read_npz(path, SourceMapping())
        assert dataset.label_names == ("WALK", "SIT")
        assert dataset.recordings[0].label.tolist() == [0] * 10

    def test_an_archive_with_a_pickle_inside_is_refused(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "a.npz", subject=np.array([{"run": "me"}] * 20, dtype=object))
        with pytest.raises(InputError, match=r"not a readable \.npz archive"):
            read_npz(path, SourceMapping())

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"b\.npz: no such file"):
            read_npz(tmp_path / "b.npz", SourceMapping())


class TestCsv:
    def test_rate_labels_people_and_recordings_come_from_columns(
        self, write: Callable[[str], Path]
    ) -> None:
        path = write(HEADER + csv_rows() + csv_rows(who="bob", take="2"))
        dataset = read_csv(path, TIMED)
        assert dataset.rate_hz == 50.0
        assert dataset.label_names == ("walk",)
        assert [(r.subject, r.name, len(r)) for r in dataset.recordings] == [
            ("ann", "1", 120),
            ("bob", "2", 120),
        ]

    def test_a_byte_order_mark_and_empty_lines_are_no_trouble(
        self, write: Callable[[str], Path]
    ) -> None:
        dataset = read_csv(write("\ufeff" + HEADER + "\n" + csv_rows() + "\n\n"), TIMED)
        assert dataset.sample_count == 120

    def test_empty_cells_become_nan_and_are_reported(self, write: Callable[[str], Path]) -> None:
        text = csv_rows().replace("0.1400,0.1,", "0.1400,,")
        report = check_dataset(read_csv(write(HEADER + text), TIMED))
        (finding,) = [f for f in report.findings if f.code == "not-finite"]
        assert finding.channel == "acc_x"
        assert finding.count == 1

    def test_a_clock_that_runs_backwards_is_reported_and_nothing_is_lost(
        self, write: Callable[[str], Path]
    ) -> None:
        dataset = read_csv(write(HEADER + csv_rows() + csv_rows()), TIMED)
        assert dataset.sample_count == 240
        assert [r.name for r in dataset.recordings] == ["1#0", "1#1"]
        assert any("ran backwards" in f.message for f in check_dataset(dataset).findings)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "the file is empty"),
            (HEADER, "it has no rows"),
            (HEADER + "0,1,2\n", "line 2 has 3 fields, the header 7"),
            (HEADER.replace("who", "what") + csv_rows(), "repeat"),
            (HEADER + csv_rows().replace("0.1,0.2", "x,0.2"), "row 1 of column 'ax' is 'x'"),
            (HEADER.replace("az", "a_z") + csv_rows(), "no column 'az' .* did you mean 'a_z'"),
            (HEADER + ",0,0,1,walk,ann,1\n", "row 1 of column 't' has no time"),
            (HEADER + "0,0,0,1,walk,ann,1\n" * 3, "the time column never moves forward"),
            (HEADER + csv_rows(9) + csv_rows(9, who="", take="2"), "9 rows say no 'who', row 10"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, write: Callable[[str], Path], text: str, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            read_csv(write(text), TIMED)

    def test_bytes_that_are_no_text_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(b"\xff\xfe\x00a,b\n1,2\n")
        with pytest.raises(InputError, match="not a CSV text"):
            read_csv(path, TIMED)

    def test_labels_are_mapped_by_name_and_the_unmapped_are_an_error(
        self, write: Callable[[str], Path]
    ) -> None:
        path = write(HEADER + csv_rows(60) + csv_rows(60, take="2").replace("walk", "Sit "))
        mapped = SourceMapping(
            channels=ACC,
            label="what",
            subject="who",
            recording="take",
            time="t",
            labels={"walk": "walking", "Sit": ""},
        )
        dataset = read_csv(path, mapped)
        assert dataset.label_names == ("walking",)
        assert set(dataset.recordings[1].label.tolist()) == {-1}
        with pytest.raises(InputError, match=r"labels \['Sit'\] are not in the label map"):
            read_csv(
                path,
                SourceMapping(
                    channels=ACC,
                    label="what",
                    subject="who",
                    recording="take",
                    time="t",
                    labels={"walk": "w"},
                ),
            )

    @pytest.mark.parametrize(
        ("labels", "names"),
        [({}, ("walk",)), ({"none": "still", "walk": "walk"}, ("still", "walk"))],
    )
    def test_a_word_for_no_label_is_one_where_the_map_names_it(
        self, write: Callable[[str], Path], labels: dict[str, str], names: tuple[str, ...]
    ) -> None:
        path = write(HEADER + csv_rows(60) + csv_rows(60, take="2").replace("walk", "none"))
        dataset = read_csv(path, msgspec.structs.replace(TIMED, labels=labels))
        assert dataset.label_names == names
        assert dataset.recordings[1].label.tolist() == [-1 if not labels else 0] * 60
        assert ["'none' is taken for no label" in note for note in dataset.notes] == [True] * (
            not labels
        )

    def test_recordings_whose_rows_take_turns_keep_their_rate(
        self, write: Callable[[str], Path]
    ) -> None:
        lines = csv_rows(60).splitlines() + [
            f"{0.007 + at / 50:.4f},0.1,0.2,1,walk,bob,2" for at in range(60)
        ]
        dataset = read_csv(write(HEADER + "\n".join(sorted(lines)) + "\n"), TIMED)
        assert dataset.rate_hz == 50.0
        assert [len(each) for each in dataset.recordings] == [60, 60]

    @pytest.mark.parametrize("mark", [";", "\t"])
    def test_semicolons_and_tabs_are_taken_for_commas(
        self, write: Callable[[str], Path], mark: str
    ) -> None:
        commas = read_csv(write(HEADER + csv_rows()), TIMED)
        others = read_csv(write((HEADER + csv_rows()).replace(",", mark)), TIMED)
        assert others.content_hash == commas.content_hash

    def test_a_file_of_one_person_is_named_by_its_stem(self, write: Callable[[str], Path]) -> None:
        mapping = SourceMapping(channels=ACC, label="what", subject_is="eve", time="t")
        (recording,) = read_csv(write(HEADER + csv_rows()), mapping).recordings
        assert (recording.subject, recording.name) == ("eve", "walk")

    def test_no_channels_is_an_error_that_lists_the_columns(
        self, write: Callable[[str], Path]
    ) -> None:
        with pytest.raises(InputError, match=r"list them under \[\[channels\]\].*'ax'"):
            read_csv(write(HEADER + csv_rows()), SourceMapping())


class TestSeglearn:
    def test_the_installed_recordings_are_read(self) -> None:
        dataset = read_seglearn(None, SourceMapping())
        assert len(dataset.recordings) == 140
        assert dataset.sample_count == 244_102
        assert len(dataset.subjects) == 10
        assert dataset.label_names == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
        assert check_dataset(dataset).worst != "error"

    def test_exercises_can_be_picked(self) -> None:
        dataset = read_seglearn(None, SourceMapping(label_names=("ROW", "PEN")))
        assert dataset.label_names == ("ROW", "PEN")

    def test_a_pickle_that_would_run_something_is_refused(self, tmp_path: Path) -> None:
        marker = tmp_path / "ran"

        class Evil:
            def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
                return eval, (f"open({str(marker)!r}, 'w')",)

        path = tmp_path / "watch_dataset.npy"
        np.save(path, np.array(Evil(), dtype=object), allow_pickle=True)
        with pytest.raises(InputError, match=r"builtins\.eval is not allowed"):
            read_seglearn(path, SourceMapping())
        assert not marker.exists()

    def test_other_codecs_than_latin1_are_refused(self, tmp_path: Path) -> None:
        head = seglearn_file().read_bytes()[:128]
        body = b"c_codecs\nencode\n(Vabc\nVrot13\ntR."
        path = tmp_path / "w.npy"
        path.write_bytes(head + body)
        with pytest.raises(InputError, match="encoding 'rot13' is not allowed"):
            read_seglearn(path, SourceMapping())

    @pytest.mark.parametrize("cut", [0, 5, 100, 128, 500, 50_000])
    def test_a_truncated_file_is_refused(self, tmp_path: Path, cut: int) -> None:
        path = tmp_path / "w.npy"
        path.write_bytes(seglearn_file().read_bytes()[:cut])
        with pytest.raises(InputError):
            read_seglearn(path, SourceMapping())

    def test_another_object_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.npy"
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            buffer, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        path.write_bytes(buffer.getvalue() + pickle.dumps({"X": []}))
        with pytest.raises(InputError, match="not the SPAR recordings"):
            read_seglearn(path, SourceMapping())


def test_a_source_of_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"cannot tell its kind; known: .*\.csv .*seglearn"):
        read_source("walk.xlsx", SourceMapping(), folder=Path())


def test_a_relative_source_starts_at_the_folder(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz")
    dataset = read_source("a.npz", SourceMapping(), folder=tmp_path)
    assert isinstance(dataset, Dataset)
    assert dataset.source == "a.npz"


@pytest.mark.parametrize("kind", ["datetime64[us]", "timedelta64[ms]"])
def test_times_with_a_type_of_their_own_need_no_unit(kind: str) -> None:
    times = np.array([0, 20_000_000], "timedelta64[ns]")
    column = (times if kind[0] == "t" else np.datetime64("2026-01-02", "ns") + times).astype(kind)
    before, after = seconds_of(column, SourceMapping(time="t"), "a.parquet")
    assert after - before == pytest.approx(0.02, abs=1e-6)
    column[1] = "NaT"
    with pytest.raises(InputError, match="row 2 of column 't' has no time"):
        seconds_of(column, SourceMapping(time="t"), "a.parquet")
