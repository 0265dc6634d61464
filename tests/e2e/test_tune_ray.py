"""A search on Ray Tune: the trials of the project's own study, which goes on without Ray.

Ray gives its own processes 15 s to start, so this runs where nothing else does.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SMALL = ("--set", "train.epochs=3", "--set", "train.threads=1", "--set", "recipe.widths=[8, 16]")


def write_people(path: Path) -> None:
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(16) % 2, 300)
    samples = rng.normal(0, 0.3, (4800, 3))
    samples[:, 0] += np.sin(2 * np.pi * (1 + 2 * label) * np.arange(4800) / 50)
    np.savez(
        path,
        X=samples.astype(np.float32),
        label=label,
        subject=np.repeat(np.arange(16) // 2 + 1, 300),
        recording=np.repeat(np.arange(16), 300),
        channels=np.array(["acc_x", "acc_y", "acc_z"]),
        units=np.array(["g"] * 3),
        fs=50.0,
    )


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_ray_tries_what_the_study_asks_for(tmp_path: Path, ray_environment: dict[str, str]) -> None:
    pytest.importorskip("ray", reason="ray is not among the extras of CI")
    pytest.importorskip("optuna", reason="absent: optuna (extra tune)")
    project = tmp_path / "people"
    write_people(tmp_path / "people.npz")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "edgewright", *arguments],
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
            env=ray_environment,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    run("init", str(project), "--recipe", "har", "--data", str(tmp_path / "people.npz"))
    with (project / "edgewright.toml").open("a") as file:
        file.write('\n[tune.space]\n"train.lr" = { low = 1e-3, high = 1e-2, log = true }\n')
    tune = ("tune", "--project", str(project), *SMALL, "--json")
    report = json.loads(run(*tune, "--trials", "3", "--jobs", "2", "--engine", "ray"))
    ended = [trial["state"] for trial in report["trials"]]
    assert len(ended) == 3
    assert set(ended) <= {"complete", "pruned"}
    assert report["best"]["epochs"] == 3
    assert report["best"]["parameters"] > 0
    again = json.loads(run(*tune, "--trials", "4"))
    assert again["trials"][:3] == report["trials"]
    assert len(again["trials"]) == 4
