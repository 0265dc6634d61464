"""Whether the accuracy budget holds on people that the command never saw.

    make prove SUITE=budget

Five networks learn activities from three people of HAPT. Each is optimised on nine people
(EVAL) for latency and for size, under two budgets each, and the chosen file is then asked about
eighteen others, whom neither training nor search knew: its accuracy there may not be lower than
fp32's by more than the budget. A run that keeps float arithmetic keeps every budget. Where a
network is small, integers are slower than floats on most CPUs and are never chosen; two of the
five are large enough, and how many runs kept floats is a figure of its own. Runs that are done
lie in `build/budget`; call again to go on.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from _results import ROOT, Recording, commit
from edgewright import _fs
from edgewright._npz import encode_npz
from edgewright.chain.engines import engine_for_format
from edgewright.chain.optimizing import engines_here
from edgewright.contract import encode_json
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.data import Dataset, WindowSet, draw_calibration
from edgewright.workbench.optimize import OptimizeOptions, optimize
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.optimize.options import Objective
from edgewright.workbench.recipes.har import HarRecipe
from edgewright.workbench.train import load_run, train, train_options
from edgewright.workbench.verify import run_rows

HAPT = ROOT.parent / "shared" / "data" / "hapt" / "hapt.npz"
SIX = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
LEARNT = ("1", "3", "5")
SEARCHED = ("2", "4", "9", "10", "12", "13", "18", "20", "24")
CALIBRATED = 256
NETWORKS: dict[str, dict[str, Any]] = {
    "wide-cnn": {"architecture": "har-quick", "widths": [128, 256]},
    "tcn-vae": {"architecture": "tcn-vae"},
    "fusion": {"architecture": "har-fusion", "widths": [24, 32]},
    "gru": {"architecture": "gru", "widths": [24]},
    "transformer": {"architecture": "transformer", "widths": [128]},
}
ASKED: tuple[tuple[Objective, float], ...] = (
    ("latency", 0.3),
    ("size", 0.6),
    ("latency", 1.2),
    ("size", 3.0),
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One search, and what its choice is worth on the third set."""

    commit: str
    network: str
    objective: Objective
    budget: float
    chosen: str
    bound: float | None
    ratio: float | None
    fp32_percent: float
    drop_points: float
    rows: int


def main() -> None:
    folder = _fs.make_dirs(ROOT / "build" / "budget")
    recipe = HarRecipe().with_options(
        {"source": str(HAPT), "labels": list(SIX), "hop_s": 2.0}, source="bench/budget.py"
    )
    with Recording("budget") as recording:
        dataset = recipe.load_data(ROOT)
        runs = [
            _run(dataset, network, objective, budget, folder)
            for network in NETWORKS
            for objective, budget in ASKED
        ]
        recording.raw["runs"] = [msgspec.to_builtins(run) for run in runs]
        recording.raw["people"] = {"learnt": LEARNT, "searched": SEARCHED, "third": "the others"}
        recording.figures["runs"] = len(runs)
        recording.figures["within_budget"] = sum(run.drop_points <= run.budget for run in runs)
        recording.figures["kept_floats"] = sum(_is_float(run.chosen) for run in runs)
        recording.figures["largest_drop_points"] = round(max(r.drop_points for r in runs), 2)
        recording.figures["largest_share_of_budget"] = round(
            max(run.drop_points / run.budget for run in runs), 2
        )
        print(recording.figures)


def _run(dataset: Dataset, network: str, objective: Objective, budget: float, folder: Path) -> Run:
    path = folder / f"{network}-{objective}-{budget:g}.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Run)
    recipe = HarRecipe().with_options(
        {"source": str(HAPT), "labels": list(SIX), "hop_s": 2.0, **NETWORKS[network]},
        source="bench/budget.py",
    )
    model = _model(recipe, dataset, folder / network)
    learnt, searched = (recipe.cut(dataset, who) for who in (LEARNT, SEARCHED))
    third = recipe.cut(
        dataset, tuple(who for who in dataset.subjects if who not in {*LEARNT, *SEARCHED})
    )
    with tempfile.TemporaryDirectory() as name:
        desk = Path(name)
        drawn = draw_calibration(learnt, count=CALIBRATED)
        _fs.write_atomic(desk / "calib.npz", encode_npz(input_arrays(drawn)))
        judged = {**input_arrays(searched), "y": searched.target, "group": searched.group}
        _fs.write_atomic(desk / "eval.npz", encode_npz(judged))
        report = optimize(
            model,
            desk / "calib.npz",
            desk / "eval.npz",
            OptimizeOptions(max_drop=budget, objective=objective, formats=("onnx",)),
            desk / "out",
            runtimes=engines_here(("onnx",)),
        )
        before, after = (_percent(file, third) for file in (model, desk / "out" / "best.onnx"))
    best = report.best
    run = Run(
        commit=commit(),
        network=network,
        objective=objective,
        budget=budget,
        chosen=f"{best.format} {best.recipe}",
        bound=best.metric_drop_upper,
        ratio=best.latency_ratio,
        fp32_percent=round(before, 3),
        drop_points=round(before - after, 3),
        rows=len(third),
    )
    _fs.write_atomic(path, encode_json(run))
    print(run, file=sys.stderr, flush=True)
    return run


def _is_float(chosen: str) -> bool:
    """Whether a variant computes in floats, however its weights are stored."""
    return " int8 static" not in chosen and " int8 dynamic" not in chosen


def _model(recipe: HarRecipe, dataset: Dataset, folder: Path) -> Path:
    """The network as ONNX, trained once for all its budgets."""
    path = folder / "model.onnx"
    if path.exists():
        return path
    learnt = recipe.cut(dataset, LEARNT)
    options = train_options(recipe, {"epochs": 6, "threads": 1}, source="bench/budget.py")
    watched = learnt.take(np.arange(0, len(learnt), 10))
    record = train(recipe, learnt, watched, options, folder)
    module, _ = load_run(folder)
    example = input_arrays(learnt.take(np.arange(2)))
    outputs = graph_outputs(recipe.contract(record.facts))
    export_onnx(module, example, path, inputs=tuple(example), outputs=outputs)
    return path


def _percent(path: Path, samples: WindowSet) -> float:
    session = engine_for_format("onnx").open(path, threads=1)
    logits: Array = run_rows(session, input_arrays(samples))["logits"]
    session.close()
    return 100 * float((logits.argmax(axis=1) == samples.target).mean())


if __name__ == "__main__":
    main()
