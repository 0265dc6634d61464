"""A whole project on a person's own CSV: run, run again, Ctrl-C in every stage, serve, ask."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

INTERRUPTED = 130
STAGES = ("data", "train", "optimize", "convert", "verify", "package")

MAPPING = """
[recipe.mapping]
label = "activity"
subject = "person"
recording = "take"
rate_hz = 50.0
channels = [
    { column = "ax", name = "acc_x", unit = "g" },
    { column = "ay", name = "acc_y", unit = "g" },
    { column = "az", name = "acc_z", unit = "g" },
]
"""


def write_recordings(path: Path) -> None:
    """Six people who rest, walk and shake a sensor, 12 seconds each."""
    rng = np.random.default_rng(3)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ax", "ay", "az", "activity", "person", "take"])
        for person in range(6):
            for hz, name in ((0.0, "rest"), (2.0, "walk"), (6.0, "shake")):
                t = np.arange(600) / 50
                swing = 0.6 * np.sin(2 * np.pi * hz * t + person) if hz else 0 * t
                wave = np.stack([swing, 0.3 * swing, 1 + 0.2 * swing], axis=1)
                for sample in wave + rng.normal(0, 0.03, wave.shape):
                    row = [f"{value:.4f}" for value in sample]
                    rows.writerow([*row, name, f"p{person}", f"{person}-{name}"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on these recordings, walked once."""
    folder = tmp_path_factory.mktemp("project")
    write_recordings(folder / "own.csv")
    start("init", "p", "--recipe", "har", "--data", "own.csv", cwd=folder).communicate()
    path = folder / "p" / "edgewright.toml"
    text = path.read_text().replace("epochs = 30", "epochs = 10\nbatch_size = 16\naveraging = 0.0")
    text = text.replace("window_s = 2.0", "window_s = 1.0\nwidths = [8, 16]")
    path.write_text(text.replace("max_drop = 2.0", "max_drop = 30.0") + MAPPING)
    return folder / "p"


@pytest.fixture(scope="module")
def walked(project: Path) -> dict[str, object]:
    """What the first whole run printed."""
    return run_json(project)


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgewright", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_json(project: Path, *arguments: str) -> dict[str, object]:
    child = start("run", "--json", *arguments, cwd=project)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    return {**json.loads(out), "stderr": err}


@pytest.mark.timeout(400)
def test_a_run_leaves_a_bundle_reports_and_lineage(
    project: Path, walked: dict[str, object]
) -> None:
    assert walked["stages"]
    now = run_json(project)
    stages = {stage["stage"]: stage for stage in now["stages"]}  # type: ignore[attr-defined]
    assert tuple(stages) == STAGES
    assert stages["train"]["facts"]["test_accuracy"] > 0.8
    assert {budget["name"] for budget in now["budgets"]} == {"export", "compile"}  # type: ignore[attr-defined]
    reports = {path.name for path in (project / "reports").iterdir()}
    assert reports >= {"data.html", "data.json", "train.json", "verify.json", "time_budgets.json"}
    from edgewright.bundle import open_bundle

    bundle = open_bundle(project / str(now["bundle"]))
    drift = stages["package"]["facts"]["drift"]
    files = {blob.name for blob in bundle.manifest.blobs}
    assert drift.startswith("judged by") == ("drift.npz" in files), drift
    provenance = bundle.manifest.contract.provenance
    assert provenance.run == stages["train"]["id"]
    assert provenance.variant == stages["optimize"]["id"]
    assert provenance.dataset == stages["data"]["facts"]["dataset"]
    manifest = project / ".edgewright" / "manifests" / f"{provenance.run}.json"
    assert json.loads(manifest.read_bytes())["inputs"]["data"] == stages["data"]["id"]


@pytest.mark.timeout(400)
def test_a_second_run_does_nothing(project: Path, walked: dict[str, object]) -> None:
    assert walked["stages"]
    once, again = run_json(project), run_json(project)
    for stage in STAGES:
        assert f"{stage}: unchanged" in str(again["stderr"])
    assert again["stages"] == once["stages"]


@pytest.mark.timeout(400)
def test_the_projects_own_tests_and_application_work(
    project: Path, walked: dict[str, object]
) -> None:
    del walked
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(tests, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (bundle,) = (project / "models" / "p" / "model_files").glob("*.ewb")
    samples = project / "samples.csv"
    lines = (project.parent / "own.csv").read_text().splitlines()
    samples.write_text("\n".join(line.rsplit(",", 3)[0] for line in lines[:601]) + "\n")
    for address in served(bundle, project):
        app = [sys.executable, "edge_application/app.py", str(samples), address]
        said = subprocess.run(app, cwd=project, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        labels = [line.split()[1] for line in said.stdout.splitlines()]
        assert set(labels) <= {"rest", "walk", "shake"}
        assert labels.count("rest") > len(labels) / 2


def served(bundle: Path, folder: Path) -> Iterator[str]:
    """The address of a real server, stopped afterwards."""
    child = start("serve", str(bundle), "--http", "127.0.0.1:0", "--json", cwd=folder)
    assert child.stdout is not None
    try:
        yield json.loads(child.stdout.readline())["address"]
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=20)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "stage",
    [pytest.param(s, marks=() if s in ("data", "train") else pytest.mark.long) for s in STAGES],
)
def test_ctrl_c_in_a_stage_leaves_nothing_half_written(
    project: Path, walked: dict[str, object], stage: str
) -> None:
    del walked
    arguments = ["run", "--from", stage, "--to", stage]
    child = start(*arguments, cwd=project)
    os.set_blocking(child.stderr.fileno(), False)  # type: ignore[union-attr]
    root = project / ".edgewright"
    deadline_s = time.monotonic() + 200
    while not list((root / "stages" / stage).glob(".tmp-*")) and child.poll() is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode in {INTERRUPTED, 0}, "0 when the stage was quicker than the signal"
    assert not list(root.rglob(".tmp-*"))
    assert not list((root / "stages").glob("*/*.new"))
    from edgewright.bundle import open_bundle

    for bundle in project.rglob("*.ewb"):
        open_bundle(bundle)
