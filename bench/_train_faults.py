"""A training run that is killed at one of its file-system calls, or at a moment of chance.

    python bench/_train_faults.py ARCHIVE            forks a run for each line that it reads
    python bench/_train_faults.py ARCHIVE OUT        does one run from its start to its end

Torch and its first optimizer take seconds to load, so the runs of a harness are forks of one
process that has loaded them: real processes, killed by real signals, that know nothing of the run
before. `Trainer.whole` shows that a fork ends with the same bytes as a process of its own.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from edgewright.testing.kills import (
    Point,
    attached,
    environment,
    failing,
    points_in,
    recording,
    run,
)
from edgewright.workbench.data import Dataset, SourceMapping, read_npz
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

_PR_SET_PTRACER, _ANYONE = 0x59616D61, -1

Ends = dict[str, object]


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


class Trainer:
    """A process that has loaded what a run needs; each run is a fork of it."""

    def __init__(self, archive: Path, server: "subprocess.Popen[str]") -> None:
        self._archive = archive
        self._server = server

    def whole(self, out: Path) -> Ends:
        """What a run ends with that nobody kills, as a fork and as a process of its own."""
        own = out / "own"
        ending = run([sys.executable, __file__, str(self._archive), str(own)], timeout_s=300)
        assert ending.code == 0, ending.stderr
        assert self._forked(out / "forked", "new") == 0
        found = lasting(out / "forked")
        assert found == lasting(own)
        return found

    def points(self, folder: Path) -> list[Point]:
        """Every call of a run that changes a file below its folder."""
        out, trace = folder / "recorded", folder / "trace"
        out.mkdir()
        pid = self._stopped(out, "new")
        with attached(pid, recording(trace)):
            os.kill(pid, signal.SIGCONT)
        assert self._reaped() == 0
        return points_in(trace, below=out)

    def killed_at(self, point: Point, out: Path) -> Ends:
        """What a run ends with that was killed at a call and resumed."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        pid = self._stopped(out, "new")
        with attached(pid, failing(point, "signal=SIGKILL")):
            os.kill(pid, signal.SIGCONT)
        assert self._reaped() == -signal.SIGKILL, point
        return self._resumed(out)

    def killed_after(self, seconds: float, out: Path) -> Ends:
        """What a run ends with that was killed so long after it began, and resumed."""
        shutil.rmtree(out, ignore_errors=True)
        pid = self._stopped(out, "new")
        os.kill(pid, signal.SIGCONT)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        self._reaped()
        return self._resumed(out)

    def _resumed(self, out: Path) -> Ends:
        assert self._forked(out, "resume") == 0
        assert not list(out.rglob(".tmp-*"))
        return lasting(out)

    def _forked(self, out: Path, how: str) -> int:
        """A run from its start to its end; how it ended."""
        os.kill(self._stopped(out, how), signal.SIGCONT)
        return self._reaped()

    def _stopped(self, out: Path, how: str) -> int:
        """The number of a new fork, which waits for SIGCONT."""
        return int(self._asked(f"{how} {out}"))

    def _reaped(self) -> int:
        return int(self._asked("reap"))

    def _asked(self, line: str) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        return self._server.stdout.readline()


@contextlib.contextmanager
def warm_trainer(archive: Path) -> Iterator[Trainer]:
    """A trainer for as long as the block lasts."""
    command = [sys.executable, __file__, str(archive)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            yield Trainer(archive, server)
        finally:
            server.stdin.close()


def lasting(out: Path) -> Ends:
    """A run's record and weights, without what a clock says."""
    found: Ends = json.loads((out / "run.json").read_bytes())
    del found["seconds"]
    found["model.pt"] = (out / "model.pt").read_bytes()
    return found


def _train(dataset: Dataset, out: Path, options: TrainOptions, *, resume: bool = False) -> None:
    learnt, watched = RECIPE.cut(dataset, ("1", "2", "3")), RECIPE.cut(dataset, ("4",))
    train(RECIPE, learnt, watched, options, out, resume=resume)


def _serve(dataset: Dataset) -> None:
    """Fork a run for each line `new|resume OUT`; `reap` waits for its end."""
    with tempfile.TemporaryDirectory() as folder:
        _train(dataset, Path(folder), msgspec.structs.replace(OPTIONS, epochs=1))
    _say("ready")
    pid = 0
    for line in sys.stdin:
        how, _, out = line.strip().partition(" ")
        if how == "reap":
            _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            continue
        pid = os.fork()
        if not pid:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYONE)
            os.kill(os.getpid(), signal.SIGSTOP)
            _train(dataset, Path(out), OPTIONS, resume=how == "resume")
            os._exit(0)
        os.waitpid(pid, os.WUNTRACED)
        _say(pid)


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    archive, *out = map(Path, sys.argv[1:])
    dataset = read_npz(archive, SourceMapping())
    if out:
        _train(dataset, out[0], OPTIONS)
    else:
        _serve(dataset)


if __name__ == "__main__":
    main()
