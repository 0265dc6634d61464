"""A training process that is killed, as a power cut or an out-of-memory killer does it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys
from pathlib import Path
from edgewright.workbench.data import SourceMapping, read_npz
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import TrainOptions, train

data, out, resume = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "resume"
recipe = HarRecipe(HarOptions(widths=(16, 32), latent=16, hop_s=0.5))
dataset = read_npz(data, SourceMapping())
options = TrainOptions(epochs=6, batch_size=8, threads=1, device="cpu", seed=3)
train(
    recipe,
    recipe.cut(dataset, ("1", "2", "3")),
    recipe.cut(dataset, ("4",)),
    options,
    out,
    resume=resume,
    on_progress=lambda p: print(p.epoch, p.step, p.loss, flush=True),
)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    time_s = np.arange(8 * 1500) / 50
    label = np.repeat(np.arange(8) % 2, 1500)
    samples = rng.normal(0, 0.3, (len(time_s), 3))
    samples[:, 0] += np.sin(2 * np.pi * (1 + 2 * label) * time_s)
    samples[:, 2] += 1.0
    path = tmp_path_factory.mktemp("data") / "people.npz"
    np.savez(
        path,
        X=samples.astype(np.float32),
        label=label,
        subject=np.repeat(np.arange(8) // 2 + 1, 1500),
        recording=np.repeat(np.arange(8), 1500),
        channels=np.array(["acc_x", "acc_y", "acc_z"]),
        units=np.array(["g"] * 3),
        fs=50.0,
    )
    return path


def start(archive: Path, out: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(archive), str(out), how],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def kill_at_line(process: subprocess.Popen[str], line: int, delay_s: float) -> None:
    """SIGKILL a moment after the given line of progress, wherever the process is then."""
    assert process.stdout is not None
    for _ in range(line):
        process.stdout.readline()
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL


def result(out: Path) -> dict[str, object]:
    record = json.loads((out / "run.json").read_text())
    return {key: value for key, value in record.items() if key != "seconds"}


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_twice_ends_with_the_same_numbers(
    archive: Path, tmp_path: Path
) -> None:
    with start(archive, tmp_path / "whole", "new") as whole:
        whole.communicate(timeout=250)
    assert whole.returncode == 0
    killed = tmp_path / "killed"
    kill_at_line(start(archive, killed, "new"), line=9, delay_s=0.003)
    assert not (killed / "run.json").exists()
    kill_at_line(start(archive, killed, "resume"), line=7, delay_s=0.0)
    with start(archive, killed, "resume") as last:
        last.communicate(timeout=250)
    assert last.returncode == 0
    assert result(killed) == result(tmp_path / "whole")
    assert (killed / "model.pt").read_bytes() == (tmp_path / "whole" / "model.pt").read_bytes()
