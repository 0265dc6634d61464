"""optimize: the run as fp32 ONNX, then the best variant under the accuracy budget.

The budget is held on people that the run was not trained on: the validation and test people, whom
the search divides by subject into those it chooses on and those that confirm the choice.
"""

import shutil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import write_atomic
from edgewright._npz import encode_npz
from edgewright.contract import Contract
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.data import Samples
from edgewright.workbench.optimize import OptimizeOptions, optimize
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.train import load_run

FP32_OUTPUT = "fp32.onnx"
REPORT_OUTPUT = "report.json"
CALIBRATION_ROWS = 512


def optimize_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""
    section = plan.project.optimize
    options = OptimizeOptions(
        max_drop=section.max_drop,
        objective=section.objective,
        target=section.target or None,
        seed=section.seed,
    )

    def run(workshop: Workshop) -> Facts:
        workshop.tell(0.0, "exporting")
        begun_s = plan.clock.monotonic_s()
        _export(plan, workshop)
        export_seconds = plan.clock.monotonic_s() - begun_s
        calibration, evaluation = workshop.desk / "calib.npz", workshop.desk / "eval.npz"
        drawn = draw_calibration(plan.samples(workshop, "train"), options.seed)
        write_atomic(calibration, encode_npz(input_arrays(drawn)))
        held_out = plan.samples(workshop, "val", "test")
        labelled = {**input_arrays(held_out), "y": held_out.target, "group": held_out.group}
        write_atomic(evaluation, encode_npz(labelled))
        found = workshop.desk / "found"
        report = optimize(
            workshop.folder / FP32_OUTPUT,
            calibration,
            evaluation,
            options,
            found,
            runtimes={"onnx": plan.engine("onnx")},
            on_progress=lambda at: workshop.tell(at.done / max(at.total, 1), at.text),
        )
        for path in found.iterdir():
            if path.is_file():
                shutil.copyfile(path, workshop.folder / path.name)
        best = report.best
        facts: Facts = {
            "export_seconds": round(export_seconds, 3),
            "chosen": f"{best.format} {best.recipe}",
            "verdict": report.verdict,
            "candidates": len(report.candidates),
        }
        measured = ("size_bytes", "latency_ratio", "metric", "metric_drop", "metric_drop_upper")
        for name in measured:
            value = getattr(best, name)
            if value is not None:
                facts[name] = value
        return facts

    return Stage(
        name="optimize",
        follows=("data", "train"),
        rooms=(
            "evidence",
            "measure",
            "runtimes",
            "workbench/convert",
            "workbench/optimize",
            "workbench/verify",
            "workbench/pipeline/stages/optimize.py",
        ),
        libraries=("numpy", "onnx", "onnxruntime", "torch"),
        options=options,
        run=run,
    )


def draw_calibration(samples: Samples, seed: int) -> Samples:
    """Training rows drawn evenly over classes where a row has one, else just drawn."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(samples))
    if samples.target.ndim > 1 or not samples.labels:
        return samples.take(np.sort(order[:CALIBRATION_ROWS]))
    classes = np.unique(samples.target)
    each = max(CALIBRATION_ROWS // len(classes), 1)
    rows = np.concatenate([order[samples.target[order] == one][:each] for one in classes])
    return samples.take(np.sort(rows))


def input_arrays(samples: Samples) -> dict[str, NDArray[Any]]:
    """The samples' inputs as arrays in memory."""
    return {name: np.ascontiguousarray(rows[:]) for name, rows in samples.inputs.items()}


def graph_outputs(contract: Contract) -> tuple[str, ...]:
    """The outputs that the graph itself gives; the others come from postprocessing."""
    made = {step.target for step in contract.postprocess if step.target != step.tensor}
    return tuple(tensor.name for tensor in contract.outputs if tensor.name not in made)


def _export(plan: Plan, workshop: Workshop) -> None:
    module, record = load_run(workshop.output("train", "run.json").parent)
    example = plan.samples(workshop, "val", "test").take(np.arange(2))
    export_onnx(
        module,
        tuple(input_arrays(example).values()),
        workshop.folder / FP32_OUTPUT,
        inputs=tuple(example.inputs),
        outputs=graph_outputs(plan.recipe.contract(record.facts)),
    )
