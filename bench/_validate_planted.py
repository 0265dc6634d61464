"""Faults planted in a foreign V2 server, each to be caught, and the same server without: let pass.

What is told of latency here would be the machine's; limits are on answers, accuracy and memory,
which noise does not touch. One case plants noise instead: it must end INVALID, not VALID-FAIL.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from _results import Recording
from edgewright.chain.validation import Accuracy, ValidationOrder, run_validation
from edgewright.measure import usable_cores
from edgewright.testing.planted import planted
from edgewright.validate import Report
from edgewright.validate.soundness import SoundnessLimits

LEAK_RPS = 100.0
LEAK_SECONDS = 100.0
MB_PER_MIN = 1.0
ANY = SoundnessLimits(
    steal_share=1.0,
    others_share=1.0,
    wait_share=1.0,
    frequency_ratio=0.0,
    lag_p95_s=10.0,
    settled_share=1.0,
)
"""The machine of these runs is shared; what is planted here is not in the clock."""


def run() -> None:
    with Recording("validate-planted") as recording, tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder))
        leak_bytes = round(MB_PER_MIN * 2**20 / 60 / LEAK_RPS)
        cases = {
            "accuracy": (["--mistake-percent", "2.7"], "single-stream", 2.0),
            "normalisation": (["--shift", "0.02"], "single-stream", 3.0),
            "nan": (["--nan-every", "10000"], "offline", 12.0),
            "leak": (["--leak-bytes", str(leak_bytes)], "soak", LEAK_SECONDS),
        }
        for name, (faults, scenario, seconds) in cases.items():
            for kind, planted in (("planted", faults), ("sound", [])):
                report = _case(name, planted, files, scenario=scenario, seconds=seconds)
                _tell(recording, f"{name}_{kind}", report)
        _tell(recording, "noise_planted", _noisy(files[0]))
    for name, value in recording.figures.items():
        print(f"{name:44} {value}")


def _files(folder: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(5)
    x = rng.random((20, 4)).astype(np.float32)
    golden, labelled = folder / "golden.npz", folder / "labelled.npz"
    np.savez(golden, x=x, y=2 * x, s=x.sum(axis=1, keepdims=True))
    rows = rng.random((3000, 4)).astype(np.float32)
    np.savez(labelled, x=rows, y=rows.argmax(axis=1))
    return golden, labelled


def _case(
    name: str, faults: list[str], files: tuple[Path, Path], *, scenario: str, seconds: float
) -> Report:
    golden, labelled = files
    with planted() as reference, planted(*faults) as url:
        accuracy = Accuracy()
        if name == "accuracy":
            accuracy = Accuracy(labelled=labelled, reference=reference, output="y")
        order = ValidationOrder(
            target=url,
            scenario=scenario,
            seconds=seconds,
            rate_rps=LEAK_RPS if name == "leak" else 1.0,
            golden=None if name == "accuracy" else golden,
            accuracy=accuracy,
            attempts=1,
            limits=ANY,
        )
        return run_validation(order)


def _noisy(golden: Path) -> Report:
    """Two strangers for every core, and a limit that a quiet machine keeps."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * usable_cores())
    ]
    try:
        with planted() as url:
            return run_validation(
                ValidationOrder(
                    target=url,
                    scenario="single-stream",
                    seconds=4.0,
                    p95_ms=1.0,
                    golden=golden,
                    attempts=1,
                )
            )
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _tell(recording: Recording, name: str, report: Report) -> None:
    recording.figures[f"{name}_verdict"] = report.verdict.outcome
    growth = report.figure("memory growth")
    recording.raw[name] = {
        "reasons": report.verdict.reasons,
        "answers": report.answers.checked,
        "wrong": report.answers.wrong,
        "wrong_reasons": report.answers.reasons,
        "growth_mb_per_min": None if growth is None else [growth.low, growth.value, growth.high],
        "seconds": round(report.seconds, 1),
    }
    print(name, report.verdict.outcome, report.verdict.reasons[:1], flush=True)
