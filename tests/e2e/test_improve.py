"""From doubtful windows to a judged challenger, on a project of eight made-up people."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from edgewright.cli._main import root
from edgewright.errors import EdgewrightError

RATE_HZ = 50.0
LENGTH = 100
LABELS = ("still", "moving")
PROJECT = """\
schema_version = 1
name = "steps"
[recipe]
name = "har"
source = "people.npz"
widths = [8, 16]
latent = 8
labels = ["still", "moving"]
[recipe.split]
test = ["5", "6", "7", "8"]
val = ["4"]
[train]
epochs = 3
batch_size = 16
threads = 1
device = "cpu"
"""

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def motion(rng: np.random.Generator, kind: int, count: int) -> Floats:
    time_s = np.arange(count) / RATE_HZ
    samples = rng.normal(0, 0.1, (count, 3)) + np.array([0.0, 0.0, 1.0])
    samples[:, 0] += 0.8 * kind * np.sin(2 * np.pi * 2 * time_s)
    return samples.astype(np.float32)


def write_people(path: Path) -> None:
    rng, count = np.random.default_rng(1), 900
    kinds = [(person, kind) for person in range(1, 9) for kind in (0, 1)]
    np.savez(
        path,
        X=np.concatenate([motion(rng, kind, count) for _, kind in kinds]),
        label=np.repeat([LABELS[kind] for _, kind in kinds], count),
        subject=np.repeat([person for person, _ in kinds], count),
        recording=np.repeat([f"{person}-{kind}" for person, kind in kinds], count),
        channels=np.array(["acc_x", "acc_y", "acc_z"]),
        units=np.array(["g"] * 3),
        fs=RATE_HZ,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("improve") / "steps"
    folder.mkdir()
    (folder / "edgewright.toml").write_text(PROJECT)
    write_people(folder / "people.npz")
    told(["train", "--project", str(folder)])
    rng = np.random.default_rng(2)
    windows = np.stack([motion(rng, n % 2, LENGTH) for n in range(12)])
    np.savez(folder / "seen.npz", x=windows, subject=np.array(["device-7"] * 12))
    np.savez(folder / "answers.npz", logits=rng.normal(size=(12, 2)))
    return folder


def ended(words: list[str]) -> tuple[int, str, str]:
    """Exit code, output and error of a command."""
    done = CliRunner().invoke(root, words)
    if isinstance(done.exception, EdgewrightError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    return done.exit_code, done.stdout, done.stderr


def told(words: list[str]) -> str:
    code, output, error = ended(words)
    assert code == 0, error
    return output


def sheet_of(project: Path, name: str, wrong: bool = False) -> Path:
    """Picked by the product, labelled by somebody who knows (or lies)."""
    sheet = project / name
    told(["improve", "pick", str(project / "answers.npz"), "--budget", "6", "--out", str(sheet)])
    head, *lines = sheet.read_text().splitlines()
    truths = [LABELS[(int(line.split(",")[0]) + wrong) % 2] for line in lines]
    sheet.write_text("\n".join([head, *map("".join, zip(lines, truths, strict=True))]))
    return sheet


def labelled(project: Path, name: str) -> tuple[Path, dict[str, Any]]:
    out = project / f"{name}.npz"
    sheet = sheet_of(project, f"{name}.csv")
    words = ["improve", "label", str(project / "seen.npz"), str(sheet), "--out", str(out)]
    return out, json.loads(told([*words, "--project", str(project), "--json"]))


def test_a_challenger_that_learnt_more_is_judged_on_the_champions_test(project: Path) -> None:
    archive, counted = labelled(project, "good")
    assert counted["samples"] == sum(counted["labels"].values()) == 6
    before = reports_of(project)
    words = ["improve", "retrain", "--project", str(project), "--add", str(archive)]
    done = json.loads(told([*words, "--max-drop", "100", "--json"]))
    assert done["added_rows"] == 6
    assert done["challenge"]["groups"] == 4
    (looks,) = json.loads((project / ".edgewright" / "looks.json").read_text()).values()
    assert looks[done["challenge"]["earlier_looks"]] == done["weights"]
    assert done["weights"] != done["champion_weights"]
    found = challenge_of(done)
    assert found["gain"]["value"] == pytest.approx(found["challenger"] - found["champion"])
    again = json.loads(told([*words, "--max-drop", "100", "--json"]))
    assert again == done  # nothing is trained twice, and the same model is no new look
    assert reports_of(project) == before
    assert (project / "reports" / "improve.json").is_file()
    settings = tomllib.loads((project / "edgewright.toml").read_text())
    assert "added" not in settings["recipe"]


def reports_of(project: Path) -> dict[str, bytes]:
    """The reports of the champion; the live page shows whatever trains."""
    own = set((project / "reports").glob("*.*"))
    own -= {project / "reports" / name for name in ("improve.json", "train-live.html")}
    return {path.name: path.read_bytes() for path in own}


def challenge_of(done: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = done["challenge"]
    return found


def test_one_that_may_lose_nothing_and_cannot_show_it_is_refused(project: Path) -> None:
    archive, _ = labelled(project, "strict")
    words = ["improve", "retrain", "--project", str(project), "--add", str(archive)]
    words += ["--set", "train.epochs=1", "--set", "train.lr=1e-6", "--json"]
    code, output, error = ended(words)
    outcome = challenge_of(json.loads(output))["outcome"]
    assert code == (0 if outcome in ("better", "no worse") else 7), error
    assert ("the champion stays" in error) == (code == 7)


def test_windows_of_people_who_are_tested_may_not_train(project: Path) -> None:
    with np.load(project / "seen.npz") as seen:
        np.savez(project / "tested.npz", x=seen["x"], subject=np.array(["5"] * 12))
    sheet, out = sheet_of(project, "tested.csv"), project / "tested-labelled.npz"
    words = ["improve", "label", str(project / "tested.npz"), str(sheet), "--out", str(out)]
    told([*words, "--project", str(project)])
    code, _, error = ended(["improve", "retrain", "--project", str(project), "--add", str(out)])
    assert code == 2
    assert "added windows are of ['5'], who are not trained on" in error


def test_a_label_of_another_model_is_refused_and_leaves_nothing(project: Path) -> None:
    sheet, out = project / "other.csv", project / "other.npz"
    sheet.write_text("sample,label\n0,flying\n")
    words = ["improve", "label", str(project / "seen.npz"), str(sheet), "--out", str(out)]
    code, _, error = ended([*words, "--project", str(project)])
    assert (code, "unknown label 'flying'" in error) == (2, True)
    assert not out.exists()
