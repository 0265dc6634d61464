"""package: the chosen variant, its contract, golden vectors, card and evidence as one signed
bundle.
"""

import msgspec
import numpy as np

from edgewright._fs import write_atomic
from edgewright.bundle import DRIFT_BLOB, Draft
from edgewright.bundle.build import Content
from edgewright.bundle.golden import encode_golden
from edgewright.bundle.manifest import Role
from edgewright.contract import Contract, Evidence, Mask, Provenance, Tolerances
from edgewright.errors import InputError
from edgewright.measure.machine import Machine, describe_machine
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel, answer_golden
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.optimize.report import Candidate, OptimizeReport
from edgewright.workbench.pipeline.card import model_card
from edgewright.workbench.pipeline.packed import (
    ACROSS_PROCESSORS,
    Wording,
    overridden,
    package_options,
    place_of,
    sign_and_keep,
    signing_key,
    variant_evidence,
)
from edgewright.workbench.pipeline.searched import REPORT_OUTPUT, read_report
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.pipeline.stages.verify import some_rows
from edgewright.workbench.recipes import Task
from edgewright.workbench.train import Scores, read_scores
from edgewright.workbench.train.runs import load_record

WINDOW_DIMENSIONS = 3
"""Rows, time, channels."""
SURE_MARGIN = 1.0
MASK_MISMATCH_SHARE = 0.01
"""Of a mask's pixels: those on a boundary may fall to either side on another processor."""


def package_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""
    project = plan.project

    def run(workshop: Workshop) -> Facts:
        report = read_report(workshop.output("optimize", REPORT_OUTPUT))
        metrics = read_scores(workshop.output("train", "train.json"))
        best = workshop.output("optimize", report.best_file)
        contract = _contract(plan, workshop, report.best)
        workshop.tell(0.2, "asking the variant for golden vectors")
        model = LoadedModel(contract, plan.engine(report.best.format).open(best))
        golden = answer_golden(model, sure_requests(model, _test_rows(plan, workshop)))
        model.close()
        machine = describe_machine()
        draft = Draft(
            name=project.name,
            version=project.version,
            format=report.best.format,
            precision=precision_of(report.best),
            contract=contract,
            evidence=_evidence(report, metrics, machine, task=plan.recipe.task, when=plan.now()),
        )
        card = model_card(draft, metrics, report, task=plan.recipe.task)
        contents: list[tuple[Role, str, Content]] = [
            ("model", best.name, best),
            ("golden", "golden.npz", encode_golden(golden)),
            ("card", "card.md", card.encode()),
            ("evidence", "optimize.json", workshop.output("optimize", REPORT_OUTPUT)),
            ("evidence", "verify.json", workshop.output("verify", "verify.json")),
            ("evidence", "train.json", workshop.output("train", "train.json")),
        ]
        normal, watched = _reference(plan, workshop, contract)
        contents += normal
        workshop.tell(0.7, "building and signing")
        write_atomic(workshop.folder / "card.md", card.encode())
        signer = plan.signer(signing_key(plan.folder, project))
        return {**sign_and_keep(workshop, project, draft, contents, signer), "drift": watched}

    return Stage(
        name="package",
        follows=("data", "train", "optimize", "verify"),
        rooms=("bundle", "contract", "device/drift", "steps", "trust", "workbench/pipeline"),
        libraries=(),
        options=package_options(project),
        run=run,
    )


def _reference(
    plan: Plan, workshop: Workshop, contract: Contract
) -> tuple[list[tuple[Role, str, Content]], str]:
    """What devices judge the model's inputs by, learnt from the windows that it was trained on, and
    a word about it. A model without such windows goes without.
    """
    tensor = contract.inputs[0]
    if not plan.project.package.drift or plan.reference is None:
        return [], "not asked for"
    if len(tensor.shape) != WINDOW_DIMENSIONS or not tensor.has_batch:
        return [], "the model takes no windows"
    workshop.tell(0.4, "learning what is normal")
    samples = plan.samples(workshop, "train")
    windows = input_arrays(samples)[tensor.name]
    try:
        content = plan.reference(windows, samples.group, contract)
    except InputError as error:
        return [], f"no reference: {error.message}"
    return [("file", DRIFT_BLOB, content)], f"judged by {len(windows)} training windows"


def precision_of(best: Candidate) -> str:
    """The word for a variant's number format."""
    return "fp32" if "fp32" in best.recipe else "int8"


def sure_requests(model: LoadedModel, arrays: dict[str, Array]) -> dict[str, Array]:
    """The requests whose first two classes are far apart, so that rounding cannot swap labels;
    all of them where the model gives no scores for a row.
    """
    answers = model.predict(arrays)
    scores = answers.get("logits")
    if scores is None or scores.ndim != 2:
        return arrays
    ordered = np.sort(scores, axis=1)
    sure = ordered[:, -1] - ordered[:, -2] >= SURE_MARGIN
    return {name: array[sure] for name, array in arrays.items()} if sure.any() else arrays


def _test_rows(plan: Plan, workshop: Workshop) -> dict[str, Array]:
    """Rows of test groups, spread evenly over them."""
    samples = plan.samples(workshop, "test")
    return input_arrays(some_rows(samples, 2 * plan.project.package.golden_rows))


def _contract(plan: Plan, workshop: Workshop, best: Candidate) -> Contract:
    record = load_record(workshop.output("train", "run.json").parent)
    contract = plan.recipe.contract(record.facts)
    split = plan.split(workshop)
    return msgspec.structs.replace(
        contract,
        budgets=overridden(contract.budgets, plan.project.budgets),
        tolerances=_tolerances(contract, precision_of(best)),
        provenance=Provenance(
            recipe=plan.recipe.name,
            dataset=record.origin.dataset,
            run=workshop.finished["train"].manifest.id,
            variant=workshop.finished["optimize"].manifest.id,
            split=split.name,
        ),
    )


def _tolerances(contract: Contract, precision: str) -> Tolerances:
    tolerances = ACROSS_PROCESSORS[precision]
    if any(isinstance(step, Mask) for step in contract.postprocess):
        return msgspec.structs.replace(tolerances, mismatch_share=MASK_MISMATCH_SHARE)
    return tolerances


def _evidence(
    report: OptimizeReport, metrics: Scores, machine: Machine, *, task: Task, when: str
) -> tuple[Evidence, ...]:
    where, first = place_of(machine), metrics.figures[0]
    own = Evidence(
        name=f"test {first.name} of the run",
        value=first.value,
        unit="1",
        low=first.low,
        high=first.high,
        how=f"bootstrap over {task.groups}, fp32",
        where=where,
        when=when,
        on=f"{metrics.rows} {task.unit}s of {task.groups} never trained on",
    )
    wording = Wording(
        drop=f"{report.metric} drop of the variant",
        ratio="latency p50 over fp32",
        unit=task.unit,
        held_on=f"{task.unit}s of the confirm set",
    )
    return (own, *variant_evidence(report, wording, where=where, when=when))
