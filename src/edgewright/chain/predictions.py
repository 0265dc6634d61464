"""`targets calibrate`, `check` and `recommend` with ONNX Runtime and a process to weigh in."""

from collections.abc import Callable
from pathlib import Path

from edgewright.chain.engines import engine_for_format
from edgewright.chain.weighing import weigh
from edgewright.workbench.optimize import Advice, Needs, all_targets, recommend_targets
from edgewright.workbench.optimize.measuring import (
    Bench,
    Checked,
    calibrate,
    check,
    keep_measurements,
    left_out_here,
    of_this_machine,
    read_measurements,
)

ENGINE = "onnxruntime"


def calibrate_here(keep: Path, *, tell: Callable[[float, str], None] = lambda *_: None) -> int:
    """Measure made-up networks and keep what was found; returns how many. A file that cannot be
    written is told before the minute, not after it.
    """
    keep_measurements(keep, ())
    found = calibrate(_bench(), tell=tell)
    keep_measurements(keep, found)
    return len(found)


def check_here(model: Path, keep: Path) -> Checked:
    """Predict a model, measure it, and keep the measurement for later predictions.

    Raises:
        InputError: not an ONNX model.
        UnavailableError: too few models were measured here.
    """
    checked, seen = check(model, read_measurements(keep), _bench())
    keep_measurements(keep, [seen])
    return checked


def recommend_here(model: Path, needs: Needs, files: tuple[Path, ...], keep: Path) -> Advice:
    """Judge the catalogue, and this machine where it was measured."""
    kept = read_measurements(keep)
    return recommend_targets(
        model,
        needs,
        all_targets(files),
        measured=of_this_machine(kept, ENGINE),
        left_out=left_out_here(kept, ENGINE),
    )


def _bench() -> Bench:
    return Bench(runtime=engine_for_format("onnx"), weigh=weigh)
