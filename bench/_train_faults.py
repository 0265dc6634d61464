"""A training process that is killed at one of its file-system calls, or at a moment of chance.

    python bench/_train_faults.py ARCHIVE OUT new|resume

trains for a moment on a small archive. `points` lists the calls of a whole run that change a file
of the run's folder; `killed_at` and `killed_after` kill a run at one of them or after so many
seconds, resume it, and give what it ended with.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edgewright.testing.kills import Point, record, run, run_with_fault
from edgewright.workbench.data import SourceMapping, read_npz
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import TrainOptions, train

RECIPE = HarRecipe(HarOptions(widths=(8, 16), latent=8, hop_s=0.5))
OPTIONS = TrainOptions(
    epochs=4,
    batch_size=16,
    threads=1,
    device="cpu",
    seed=3,
    keep="best",
    patience=3,
    keep_checkpoints=2,
)


def write_archive(path: Path) -> None:
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(8) % 2, 600)
    samples = rng.normal(0, 0.3, (4800, 3))
    samples[:, 0] += np.sin(2 * np.pi * (1 + 2 * label) * np.arange(4800) / 50)
    np.savez(
        path,
        X=samples.astype(np.float32),
        label=label,
        subject=np.repeat(np.arange(8) // 2 + 1, 600),
        recording=np.repeat(np.arange(8), 600),
        channels=np.array(["acc_x", "acc_y", "acc_z"]),
        units=np.array(["g"] * 3),
        fs=50.0,
    )


def command(archive: Path, out: Path, how: str) -> list[str]:
    return [sys.executable, __file__, str(archive), str(out), how]


def points(archive: Path, folder: Path) -> list[Point]:
    """Every call of a run that changes a file below its folder."""
    out = folder / "recorded"
    out.mkdir()
    return record(command(archive, out, "new"), below=out, trace=folder / "trace")


def whole(archive: Path, folder: Path) -> dict[str, object]:
    """What a run ends with that nobody kills."""
    ending = run(command(archive, folder / "whole", "new"), timeout_s=300)
    assert ending.code == 0, ending.stderr
    return lasting(folder / "whole")


def killed_at(point: Point, archive: Path, out: Path) -> dict[str, object]:
    """What a run ends with that was killed at a call and resumed."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    ending = run_with_fault(command(archive, out, "new"), point, "signal=SIGKILL")
    assert ending.code == -signal.SIGKILL, ending
    return _resumed(archive, out)


def killed_after(seconds: float, archive: Path, out: Path) -> dict[str, object]:
    """What a run ends with that was killed so long after its first epoch began, and resumed."""
    shutil.rmtree(out, ignore_errors=True)
    with subprocess.Popen(
        command(archive, out, "new"), stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.kill()
    return _resumed(archive, out)


def lasting(out: Path) -> dict[str, object]:
    """A run's record and weights, without what a clock says."""
    found: dict[str, object] = json.loads((out / "run.json").read_bytes())
    del found["seconds"]
    found["model.pt"] = (out / "model.pt").read_bytes()
    return found


def _resumed(archive: Path, out: Path) -> dict[str, object]:
    ending = run(command(archive, out, "resume"), timeout_s=300)
    assert ending.code == 0, ending.stderr
    assert not list(out.rglob(".tmp-*"))
    return lasting(out)


def main() -> None:
    archive, out, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    dataset = read_npz(archive, SourceMapping())
    print("begins", flush=True)
    train(
        RECIPE,
        RECIPE.cut(dataset, ("1", "2", "3")),
        RECIPE.cut(dataset, ("4",)),
        OPTIONS,
        out,
        resume=how == "resume",
    )


if __name__ == "__main__":
    main()
