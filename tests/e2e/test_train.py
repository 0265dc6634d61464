"""A training process that is killed, as a power cut or an out-of-memory killer does it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright.workbench.data import SourceMapping, read_npz
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import Progress, RunRecord, TrainOptions, train

RECIPE = HarRecipe(HarOptions(widths=(16, 32), latent=16, hop_s=0.5))
OPTIONS = TrainOptions(epochs=4, batch_size=8, threads=1, device="cpu", seed=3)


def run(
    archive: Path, out: Path, *, resume: bool, tell: Callable[[Progress], None] = lambda _: None
) -> RunRecord:
    dataset = read_npz(archive, SourceMapping())
    return train(
        RECIPE,
        RECIPE.cut(dataset, ("1", "2", "3")),
        RECIPE.cut(dataset, ("4",)),
        OPTIONS,
        out,
        resume=resume,
        on_progress=tell,
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    time_s = np.arange(8 * 900) / 50
    label = np.repeat(np.arange(8) % 2, 900)
    samples = rng.normal(0, 0.3, (len(time_s), 3))
    samples[:, 0] += np.sin(2 * np.pi * (1 + 2 * label) * time_s)
    samples[:, 2] += 1.0
    path = tmp_path_factory.mktemp("data") / "people.npz"
    np.savez(
        path,
        X=samples.astype(np.float32),
        label=label,
        subject=np.repeat(np.arange(8) // 2 + 1, 900),
        recording=np.repeat(np.arange(8), 900),
        channels=np.array(["acc_x", "acc_y", "acc_z"]),
        units=np.array(["g"] * 3),
        fs=50.0,
    )
    return path


def start(archive: Path, out: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, str(archive), str(out), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def tell_and_wait(progress: Progress) -> None:
    """So that the child is never further than we know, however long we are kept waiting."""
    print(progress.epoch, progress.step, progress.loss, flush=True)
    sys.stdin.readline()


def kill_at_line(process: subprocess.Popen[str], line: int, delay_s: float) -> None:
    """SIGKILL a moment after the given line of progress, wherever the process is then."""
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(line):
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    process.stdin.close()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_twice_ends_with_the_same_numbers(
    archive: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = run(archive, whole, resume=False)
    kill_at_line(start(archive, killed, "new"), line=5, delay_s=0.003)
    assert not (killed / "run.json").exists()
    kill_at_line(start(archive, killed, "resume"), line=4, delay_s=0.0)
    assert not (killed / "run.json").exists()
    found = run(archive, killed, resume=True)
    assert msgspec.structs.replace(found, seconds=0.0) == msgspec.structs.replace(
        expected, seconds=0.0
    )
    assert (killed / "model.pt").read_bytes() == (whole / "model.pt").read_bytes()


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), resume=sys.argv[3] == "resume", tell=tell_and_wait)
