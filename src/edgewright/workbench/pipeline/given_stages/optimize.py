"""optimize: the best variant of the given model, held to its labels, or without labels to its own
answers.

Without labels the budget is on *agreement*: 100 * (1 - RMSE / std) of a variant's first output
against the given model's. That says that the variant is still the same model, not that the model
is right.
"""

import shutil

import numpy as np

from edgewright._fs import write_atomic
from edgewright._npz import encode_npz
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.runtimes.base import Array, Session
from edgewright.workbench.given import GivenSamples
from edgewright.workbench.optimize import OptimizeOptions, optimize
from edgewright.workbench.optimize.labelled import MIN_CALIB_ROWS, MIN_EVAL_ROWS
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.searched import (
    FP32_OUTPUT,
    facts_of,
    search_options,
    take_found,
)
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.verify import run_rows

CALIBRATION_SHARE = 0.25
CALIBRATION_ROWS = 512
NEEDED = MIN_CALIB_ROWS + MIN_EVAL_ROWS

ON_LABELS = "labels"
ON_AGREEMENT = "agreement with the given model"


def optimize_stage(plan: GivenPlan) -> Stage:
    """The stage, bound to a project."""
    options = search_options(plan.project.optimize)

    def run(workshop: Workshop) -> Facts:
        samples = plan.samples()
        reason = _not_searched(plan, samples)
        if reason:
            return _keep(plan, workshop, reason)
        return _search(plan, workshop, samples, options)

    return Stage(
        name="optimize",
        follows=("data", "train"),
        rooms=(
            "evidence",
            "measure",
            "runtimes",
            "workbench/convert",
            "workbench/given",
            "workbench/optimize",
            "workbench/verify",
            "workbench/pipeline/given_stages/optimize.py",
            "workbench/pipeline/searched.py",
        ),
        libraries=("numpy", "onnx", "onnxruntime"),
        options=options,
        run=run,
    )


def _not_searched(plan: GivenPlan, samples: GivenSamples) -> str:
    """Why the model stays as it is; empty when variants are worth a search."""
    if not plan.is_onnx:
        return f"the search makes ONNX variants, the model is {plan.format}"
    if samples.layout != "rows":
        return "its inputs share no axis that counts samples"
    if samples.count < NEEDED:
        return f"{samples.count} samples, a budget needs {NEEDED} or more to be held"
    return ""


def _keep(plan: GivenPlan, workshop: Workshop, reason: str) -> Facts:
    shutil.copyfile(plan.model, workshop.folder / _given_name(plan))
    write_atomic(workshop.folder / "optimize.json", encode_json({"kept_as_given": reason}))
    return {"chosen": "as given", "verdict": f"kept as given: {reason}"}


def _given_name(plan: GivenPlan) -> str:
    return FP32_OUTPUT if plan.is_onnx else f"given{plan.model.suffix}"


def _search(
    plan: GivenPlan, workshop: Workshop, samples: GivenSamples, options: OptimizeOptions
) -> Facts:
    given = workshop.folder / FP32_OUTPUT
    shutil.copyfile(plan.model, given)
    rows = np.random.default_rng(options.seed).permutation(samples.count)
    count = min(CALIBRATION_ROWS, max(MIN_CALIB_ROWS, int(samples.count * CALIBRATION_SHARE)))
    calibration = samples.take(np.sort(rows[:count]))
    evaluation = samples.take(np.sort(rows[count:]))
    held_on = ON_LABELS if evaluation.labels is not None else ON_AGREEMENT
    session = plan.engine("onnx").open(given)
    try:
        labels = evaluation.labels if evaluation.labels is not None else _own(session, evaluation)
    finally:
        session.close()
    arrays = {**evaluation.arrays, "y": labels}
    if evaluation.groups is not None:
        arrays["group"] = evaluation.groups
    calib_path, eval_path = workshop.desk / "calib.npz", workshop.desk / "eval.npz"
    write_atomic(calib_path, encode_npz(calibration.arrays))
    write_atomic(eval_path, encode_npz(arrays))
    found = workshop.desk / "found"
    report = optimize(
        given,
        calib_path,
        eval_path,
        options,
        found,
        runtimes={"onnx": plan.engine("onnx")},
        on_progress=lambda at: workshop.tell(at.done / max(at.total, 1), at.text),
    )
    take_found(found, workshop.folder)
    return {**facts_of(report), "held_on": held_on}


def _own(session: Session, samples: GivenSamples) -> Array:
    """The given model's own first answer that is made of numbers."""
    answers = run_rows(session, samples.arrays)
    for array in answers.values():
        if array.dtype.kind == "f" and float(array.std()) > 0:
            return array
    raise InputError(
        "no output varies over the samples, so agreement with it says nothing",
        hint="give other samples, or labels as `y`",
    )
