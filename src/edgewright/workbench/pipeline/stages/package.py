"""package: the chosen variant, its contract, golden vectors, card and evidence as one signed
bundle.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from edgewright._fs import read_limited
from edgewright.bundle import Draft, build_bundle, open_bundle
from edgewright.bundle.build import Content
from edgewright.bundle.golden import encode_golden
from edgewright.bundle.manifest import Role
from edgewright.contract import (
    Budgets,
    Contract,
    Evidence,
    Mask,
    Provenance,
    Tolerances,
    decode_json,
)
from edgewright.measure.machine import Machine, describe_machine
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel, answer_golden
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.optimize.report import Candidate, OptimizeReport
from edgewright.workbench.pipeline.card import model_card
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.optimize import REPORT_OUTPUT
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.pipeline.stages.verify import some_rows
from edgewright.workbench.recipes import Task
from edgewright.workbench.train import Scores, read_scores
from edgewright.workbench.train.runs import load_record

# How far two processors may be apart on the same file, not two precisions (ADR 5).
ACROSS_PROCESSORS = {
    "fp32": Tolerances(),
    "int8": Tolerances(max_abs=0.25, max_rel=0.1, cosine=0.995, norm_ratio=1.05),
}
SURE_MARGIN = 1.0
MASK_MISMATCH_SHARE = 0.01
"""Of a mask's pixels: those on a boundary may fall to either side on another processor."""

_LIMIT_BYTES = 64 << 20

T = TypeVar("T")


def package_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""
    project = plan.project

    def run(workshop: Workshop) -> Facts:
        report = _read(workshop.output("optimize", REPORT_OUTPUT), OptimizeReport)
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
        name = f"{project.name}-{project.version}.ewb"
        card = model_card(draft, metrics, report, task=plan.recipe.task)
        contents: list[tuple[Role, str, Content]] = [
            ("model", best.name, best),
            ("golden", "golden.npz", encode_golden(golden)),
            ("card", "card.md", card.encode()),
            ("evidence", "optimize.json", workshop.output("optimize", REPORT_OUTPUT)),
            ("evidence", "verify.json", workshop.output("verify", "verify.json")),
            ("evidence", "train.json", workshop.output("train", "train.json")),
        ]
        workshop.tell(0.7, "building and signing")
        signer = plan.signer(plan.folder / project.package.key)
        build_bundle(workshop.folder / name, draft, contents, signers=[signer])
        (workshop.folder / "card.md").write_text(card)
        bundle = open_bundle(workshop.folder / name)
        return {
            "bundle": bundle.id,
            "file": name,
            "size_bytes": (workshop.folder / name).stat().st_size,
            "signed_by": signer.public.key_id,
            "precision": draft.precision,
        }

    return Stage(
        name="package",
        follows=("data", "train", "optimize", "verify"),
        rooms=("bundle", "contract", "steps", "trust", "workbench/pipeline"),
        libraries=(),
        options={
            "package": project.package,
            "name": project.name,
            "version": project.version,
            "budgets": project.budgets,
        },
        run=run,
    )


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
        budgets=_overridden(contract.budgets, plan.project.budgets),
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


def _overridden(recipe: Budgets, project: Budgets) -> Budgets:
    chosen = {
        name: getattr(project, name)
        for name in project.__struct_fields__
        if getattr(project, name) is not None
    }
    return msgspec.structs.replace(recipe, **chosen)


def _evidence(
    report: OptimizeReport, metrics: Scores, machine: Machine, *, task: Task, when: str
) -> tuple[Evidence, ...]:
    where = f"{machine.cpu}, {machine.architecture}, {machine.cores} cores"
    best, first = report.best, metrics.figures[0]
    found = [
        Evidence(
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
    ]
    if best.metric_drop is not None:
        found.append(
            Evidence(
                name=f"{report.metric} drop of the variant",
                value=best.metric_drop,
                unit="points",
                high=best.metric_drop_upper,
                how=report.bound,
                where=where,
                when=when,
                on=f"{best.rows} {task.unit}s of the confirm set",
            )
        )
    if best.latency_ratio is not None:
        found.append(
            Evidence(
                name="latency p50 over fp32",
                value=best.latency_ratio,
                unit="1",
                low=best.latency_ratio_low,
                high=best.latency_ratio_high,
                how=f"{best.latency_rounds} interleaved rounds, one thread",
                where=where,
                when=when,
                on=f"one {task.unit}",
            )
        )
    return tuple(found)


def _read(path: Path, kind: type[T]) -> T:
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, kind, source=str(path))
