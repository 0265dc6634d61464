"""optimize: the run as fp32 ONNX, then the best variant under the accuracy budget.

The budget is held on people that the run was not trained on: the validation and test people, whom
the search divides by subject into those it chooses on and those that confirm the choice.
"""

import numpy as np

from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.optimize import optimize
from edgewright.workbench.optimize.inputs import input_arrays, write_calibration, write_evaluation
from edgewright.workbench.pipeline.searched import (
    FP32_OUTPUT,
    facts_of,
    search_options,
    take_found,
)
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.train import load_run


def optimize_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""
    options = search_options(plan.project.optimize)

    def run(workshop: Workshop) -> Facts:
        workshop.tell(0.0, "exporting")
        begun_s = plan.clock.monotonic_s()
        _export(plan, workshop)
        export_seconds = plan.clock.monotonic_s() - begun_s
        train, held_out = plan.samples(workshop, "train"), plan.samples(workshop, "val", "test")
        found = workshop.desk / "found"
        report = optimize(
            workshop.folder / FP32_OUTPUT,
            write_calibration(train, workshop.desk, options.seed),
            write_evaluation(held_out, workshop.desk),
            options,
            found,
            runtimes={"onnx": plan.engine("onnx")},
            on_progress=lambda at: workshop.tell(at.done / max(at.total, 1), at.text),
        )
        take_found(found, workshop.folder)
        return {"export_seconds": round(export_seconds, 3), **facts_of(report)}

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
            "workbench/pipeline/searched.py",
        ),
        libraries=("numpy", "onnx", "onnxruntime", "torch"),
        options=options,
        run=run,
    )


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
