"""`edgewright data`, from the outside: files in, JSON out, errors by branch."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgewright.cli.data import data
from edgewright.errors import InputError
from edgewright.workbench.data import SourceMapping, read_source, source_files

MAPPING = """
label = "what"
subject = "who"
recording = "take"
time = "t"
channels = [
    {column = "ax", name = "acc_x", unit = "UNIT"},
    {column = "ay", name = "acc_y", unit = "UNIT"},
    {column = "az", name = "acc_z", unit = "UNIT"},
]
"""


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Four people, two activities, in m/s2."""
    rng = np.random.default_rng(1)
    lines = ["t,ax,ay,az,what,who,take"]
    for who in ("ann", "bob", "eve", "joe"):
        for label, hertz in (("walk", 2.0), ("run", 3.0)):
            for at in range(200):
                swing = np.sin(2 * np.pi * hertz * at / 50) * 0.3
                x, y, z = rng.normal(0, 0.05, 3) + np.array([swing, 0.0, 9.80665])
                lines.append(f"{at / 50:.2f},{x:.5f},{y:.5f},{z:.5f},{label},{who},{who}-{label}")
    path = tmp_path / "walk.csv"
    path.write_text("\n".join(lines) + "\n")
    (tmp_path / "good.toml").write_text(MAPPING.replace("UNIT", "m/s2"))
    (tmp_path / "wrong.toml").write_text(MAPPING.replace("UNIT", "g"))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def read_json(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    parsed: dict[str, object] = json.loads(result.stdout)
    return parsed


def test_an_import_is_stored_and_shown(walk: Path) -> None:
    folder = walk.parent
    good = folder / "good.toml"
    report = read_json(invoke("import", walk, "--project", folder, "--mapping", good, "--json"))
    assert report["kind"] == "data-report"
    assert report["findings"] == []
    name = report["content_hash"]
    listed = read_json(invoke("show", "--project", folder, "--json"))
    assert listed["datasets"] == [name]
    shown = read_json(invoke("show", str(name)[:8], "--project", folder, "--json"))
    assert shown["label_names"] == ["run", "walk"]
    assert shown["lineage"]["when"].endswith("Z")  # type: ignore[index]  # a nested table


def test_the_tables_are_for_people(walk: Path) -> None:
    folder = walk.parent
    done = invoke("import", walk, "--project", folder, "--mapping", folder / "good.toml")
    assert done.exit_code == 0
    assert "8 recordings" in done.stdout
    assert "no findings" in done.stderr
    assert "walk.csv" in invoke("show", "--project", folder).stdout


def test_a_wrong_unit_fails_the_check_with_the_next_thing_to_try(walk: Path) -> None:
    folder = walk.parent
    done = invoke("check", walk, "--project", folder, "--mapping", folder / "wrong.toml")
    assert isinstance(done.exception, InputError)
    assert "the file is in m/s2, map the unit" in done.stderr


def test_two_versions_are_compared(walk: Path) -> None:
    folder = walk.parent
    names = []
    for mapping in ("good.toml", "wrong.toml"):
        found = invoke("import", walk, "--project", folder, "--mapping", folder / mapping, "--json")
        names.append(read_json(found)["content_hash"])
    shown = invoke("show", names[1], "--diff", names[0], "--project", folder, "--json")
    diff = read_json(shown)
    assert len(diff["changed"]) == 8  # type: ignore[arg-type]  # a list
    assert diff["added"] == diff["removed"] == []


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("chanels = []", "unknown key 'chanels'; did you mean 'channels'"),
        ("label = [", "not valid TOML"),
        (
            'channels = [{column = "a", unit = "m/s3"}]',
            "channel 'a': unit 'm/s3' is not known; did you mean 'm/s2'",
        ),
    ],
)
def test_a_wrong_mapping_is_named(walk: Path, mapping: str, message: str) -> None:
    path = walk.parent / "m.toml"
    path.write_text(mapping)
    done = invoke("import", walk, "--project", walk.parent, "--mapping", path)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert not (walk.parent / ".edgewright").exists()


def test_an_unknown_dataset_is_named(tmp_path: Path) -> None:
    done = invoke("show", "abcd", "--project", tmp_path)
    assert isinstance(done.exception, InputError)
    assert "is not in the store" in str(done.exception)


@pytest.fixture
def stored(walk: Path) -> tuple[Path, str]:
    folder = walk.parent
    good = folder / "good.toml"
    report = read_json(invoke("import", walk, "--project", folder, "--mapping", good, "--json"))
    return folder, str(report["content_hash"])


def test_labels_make_a_new_version_that_knows_its_parent(stored: tuple[Path, str]) -> None:
    folder, name = stored
    (folder / "ranges.txt").write_text("ann-walk:0:1:stand\n")
    done = read_json(
        invoke(
            "label",
            name[:8],
            "--file",
            folder / "ranges.txt",
            "--range",
            "bob-walk:1:2:",
            "--project",
            folder,
            "--json",
        )
    )
    shown = read_json(invoke("show", done["dataset"], "--project", folder, "--json"))
    assert shown["lineage"]["parents"] == [name]  # type: ignore[index]  # a nested table
    assert shown["label_names"] == ["run", "walk", "stand"]
    diff = read_json(invoke("show", done["dataset"], "--diff", name, "--project", folder, "--json"))
    assert diff["changed"] == ["ann-walk", "bob-walk"]


def test_repairs_of_good_data_keep_the_version(stored: tuple[Path, str]) -> None:
    folder, name = stored
    arguments = ("clean", name, "--repair", "drop-copies", "--project", folder)
    done = invoke(*arguments)
    assert done.stdout.strip() == name
    assert "nothing to do" in done.stderr
    assert read_json(invoke(*arguments, "--json"))["done"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("label",), "no ranges are given"),
        (("label", "--range", "ann-walk:2:1:x"), "START must be 0 or more and before STOP"),
        (("clean",), "no repair is named; there are fill-short-holes"),
        (("clean", "--repair", "magic"), "repair 'magic' is not known"),
    ],
)
def test_what_cannot_be_done_is_said(
    stored: tuple[Path, str], arguments: tuple[str, ...], message: str
) -> None:
    folder, name = stored
    done = invoke(arguments[0], name, *arguments[1:], "--project", folder)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_a_folder_is_checked_like_a_file(walk: Path) -> None:
    recordings = walk.parent / "recordings"
    recordings.mkdir()
    walk.rename(recordings / "walk.csv")
    good = walk.parent / "good.toml"
    done = invoke("check", recordings, "--project", walk.parent, "--mapping", good)
    assert done.exit_code == 0, done.output


def test_a_page_is_written_beside_the_report(walk: Path) -> None:
    good = walk.parent / "good.toml"
    page = walk.parent / "report.html"
    done = invoke("check", walk, "--project", walk.parent, "--mapping", good, "--html", page)
    assert done.exit_code == 0, done.output
    assert "<svg" in page.read_text()


def test_an_import_can_change_the_rate(walk: Path) -> None:
    folder = walk.parent
    report = read_json(
        invoke(
            "import",
            walk,
            "--project",
            folder,
            "--mapping",
            folder / "good.toml",
            "--rate",
            "25",
            "--json",
        )
    )
    assert report["rate_hz"] == 25.0


def test_a_split_is_checked_written_and_used(stored: tuple[Path, str], tmp_path: Path) -> None:
    folder, name = stored
    out = tmp_path / "parts"
    where = ("--project", folder)
    done = read_json(
        invoke("split", name, "--test", "joe", "--val", "1", "--out", out, *where, "--json")
    )
    (only,) = done["splits"]  # type: ignore[misc]  # a list of tables
    assert only["leaks"] == "none found"
    assert only["split"]["test"] == ["joe"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"{part}.{end}" for part in ("train", "val", "test") for end in ("json", "npz")]
        + ["split.json"]
    )
    calib = tmp_path / "calib.npz"
    split = ("--split", out / "split.json")
    record = read_json(
        invoke("calibration", name, *split, "--count", 5, "--out", calib, *where, "--json")
    )
    assert (record["windows"], record["dataset"]) == (5, name)
    with np.load(calib) as arrays:
        assert arrays["x"].shape == (5, 100, 3)
        assert "joe" not in arrays["group"].tolist()
    again = invoke("calibration", name, *split, "--count", 5, "--out", calib, *where)
    assert again.stdout.strip() == record["sha256"]


def test_every_fold_is_written(stored: tuple[Path, str], tmp_path: Path) -> None:
    folder, name = stored
    for option in (("--folds", 4), ("--leave-one-out",)):
        out = tmp_path / str(option[0])
        done = read_json(
            invoke("split", name, *option, "--out", out, "--project", folder, "--json")
        )
        assert len(done["splits"]) == 4  # type: ignore[arg-type]  # a list
        assert (out / "fold-4/test.npz").is_file()


def test_a_random_split_is_refused_and_labelled_when_forced(
    stored: tuple[Path, str], tmp_path: Path
) -> None:
    folder, name = stored
    order = ("split", name, "--random", "0.5", "--project", folder, "--out", tmp_path / "parts")
    refused = invoke(*order)
    assert isinstance(refused.exception, InputError)
    assert "--i-know-this-leaks" in str(refused.exception)
    assert not (tmp_path / "parts").exists()
    forced = invoke(*order, "--i-know-this-leaks")
    assert forced.exit_code == 0, forced.output
    assert "LEAKS" in forced.stdout
    record = json.loads((tmp_path / "parts/test.json").read_text())
    assert "LEAKS" in record["warning"]
    said = read_json(invoke(*order, "--i-know-this-leaks", "--json"))
    assert said["shared"]["subjects"] > 0  # type: ignore[index]  # a nested table


def test_augmentation_refuses_people_who_are_tested(
    stored: tuple[Path, str], tmp_path: Path
) -> None:
    folder, name = stored
    out = tmp_path / "more.npz"
    order = ("augment", name, "--test", "joe,", "--by", "jitter", "--project", folder, "--out", out)
    refused = invoke(*order, "--subjects", "ann,joe")
    assert isinstance(refused.exception, InputError)
    assert "training windows only" in str(refused.exception)
    assert not out.exists()
    assert read_json(invoke(*order, "--copies", 2, "--json"))["windows"] == 2 * 18


def test_sources_are_merged_through_a_map(stored: tuple[Path, str], tmp_path: Path) -> None:
    folder, name = stored
    path = tmp_path / "map.toml"
    path.write_text('[one]\nwalk = "go"\nrun = "go"\n[two]\nwalk = "stroll"\nrun = ""\n')
    sources = (f"one={name[:9]}", f"two={name}")
    order = ("merge", *sources, "--map", path, "--project", folder)
    refused = invoke(*order, "--classes", 3)
    assert isinstance(refused.exception, InputError)
    assert "lead to 2 classes, expected 3" in str(refused.exception)
    done = read_json(invoke(*order, "--classes", 2, "--json"))
    shown = read_json(invoke("show", done["dataset"], "--project", folder, "--json"))
    assert shown["label_names"] == ["go", "stroll"]
    assert shown["lineage"]["parents"] == [name, name]  # type: ignore[index]  # a nested table
    alone = invoke("merge", name, "--project", folder)
    assert "expected NAME=DATASET" in str(alone.exception)


def test_a_stored_version_is_a_source(stored: tuple[Path, str]) -> None:
    folder, name = stored
    source = f"dataset:{name[:8]}"
    assert read_source(source, SourceMapping(), folder=folder).content_hash == name
    assert all(path.is_file() for path in source_files(source, folder=folder))


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "--rate", "0"),
        ("split", "--rate", "-5"),
        ("split", "--window", "0"),
        ("split", "--random", "2", "--i-know-this-leaks"),
        ("split", "--seed", "-1"),
        ("merge", "--rate", "0"),
    ],
)
def test_numbers_that_make_no_sense_are_usage_errors(arguments: tuple[str, ...]) -> None:
    done = invoke(arguments[0], "a=b", *arguments[1:])
    assert done.exit_code == 2
    assert "is not in the range" in done.output
