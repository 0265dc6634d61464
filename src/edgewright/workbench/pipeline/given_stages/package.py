"""package: the model or its chosen variant, the contract, golden vectors, card and evidence as one
signed bundle.
"""

import msgspec
import numpy as np

from edgewright._fs import write_atomic
from edgewright.bundle import Draft
from edgewright.bundle.build import Content
from edgewright.bundle.golden import encode_golden
from edgewright.bundle.manifest import Role
from edgewright.contract import Argmax, Contract, Evidence, Provenance
from edgewright.measure.machine import describe_machine
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel, answer_golden
from edgewright.steps import preprocess
from edgewright.workbench.optimize.report import OptimizeReport
from edgewright.workbench.pipeline.card import given_card
from edgewright.workbench.pipeline.given_stages.engine_file import (
    EngineFile,
    chosen_file,
    search_report,
)
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.given_stages.train import REASON
from edgewright.workbench.pipeline.manifests import hash_file
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
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop

SURE_SHARE = 0.05
"""A decision this share of its scores' range away from the next one survives rounding."""


def package_stage(plan: GivenPlan) -> Stage:
    """The stage, bound to a project."""
    project = plan.project

    def run(workshop: Workshop) -> Facts:
        chosen, report = chosen_file(plan, workshop), search_report(workshop)
        contract = _contract(plan, workshop, chosen)
        workshop.tell(0.2, "asking the model for golden vectors")
        model = LoadedModel(contract, plan.engine(chosen.format).open(chosen.path))
        golden = answer_golden(model, _requests(plan, model))
        model.close()
        draft = Draft(
            name=project.name,
            version=project.version,
            format=chosen.format,
            precision=chosen.precision,
            contract=contract,
            evidence=_evidence(plan, workshop, report),
        )
        card = given_card(draft, held_on=_held_on(workshop), report=report, trained=REASON)
        contents: list[tuple[Role, str, Content]] = [
            ("model", chosen.path.name, chosen.path),
            ("golden", "golden.npz", encode_golden(golden)),
            ("card", "card.md", card.encode()),
            ("evidence", "verify.json", workshop.output("verify", "verify.json")),
        ]
        if report is not None:
            contents.append(
                ("evidence", "optimize.json", workshop.output("optimize", "report.json"))
            )
        workshop.tell(0.7, "building and signing")
        write_atomic(workshop.folder / "card.md", card.encode())
        signer = plan.signer(signing_key(plan.folder, project))
        return sign_and_keep(workshop, project, draft, contents, signer)

    return Stage(
        name="package",
        follows=("data", "train", "optimize", "verify"),
        rooms=("bundle", "contract", "steps", "trust", "workbench/pipeline"),
        libraries=(),
        options=package_options(project),
        reads=lambda: {"contract": hash_file(plan.contract_path)},
        run=run,
    )


def _requests(plan: GivenPlan, model: LoadedModel) -> dict[str, Array]:
    """Golden requests: spread over the samples, without rows whose decision hangs on rounding."""
    request = plan.samples().spread(plan.project.package.golden_rows).request(model.contract)
    steps = [step for step in model.contract.postprocess if isinstance(step, Argmax)]
    if not steps or not all(tensor.has_batch for tensor in model.contract.inputs):
        return request
    answers = model.session.run(preprocess(model.contract, request))
    sure = np.ones(len(next(iter(request.values()))), bool)
    for step in steps:
        if step.tensor in answers:
            sure &= _is_sure(answers[step.tensor], step.axis)
    return {name: array[sure] for name, array in request.items()} if sure.any() else request


def _is_sure(scores: Array, axis: int) -> Array:
    if scores.shape[axis] < 2:
        return np.ones(len(scores), bool)
    ordered = np.sort(scores, axis=axis)
    top = np.take(ordered, -1, axis=axis) - np.take(ordered, -2, axis=axis)
    span = np.take(ordered, -1, axis=axis) - np.take(ordered, 0, axis=axis)
    sure: Array = (top >= SURE_SHARE * span).reshape(len(scores), -1).all(axis=1)
    return sure


def _contract(plan: GivenPlan, workshop: Workshop, chosen: EngineFile) -> Contract:
    contract = plan.contract()
    data = workshop.finished["data"].manifest
    kind = "int8" if chosen.precision == "int8" or chosen.format == "litert" else "fp32"
    return msgspec.structs.replace(
        contract,
        budgets=overridden(contract.budgets, plan.project.budgets),
        tolerances=ACROSS_PROCESSORS[kind],
        provenance=Provenance(
            recipe=plan.project.recipe_name,
            dataset=str(data.facts["dataset"]),
            run=str(data.facts["model"]),
            variant=workshop.finished["optimize"].manifest.id,
            split="none: the model is given",
        ),
    )


def _held_on(workshop: Workshop) -> str:
    return str(workshop.finished["optimize"].manifest.facts.get("held_on", ""))


def _evidence(
    plan: GivenPlan, workshop: Workshop, report: OptimizeReport | None
) -> tuple[Evidence, ...]:
    if report is None:
        return ()
    wording = Wording(
        drop=f"{report.metric} drop of the variant, held on {_held_on(workshop)}",
        ratio="latency p50 over the given model",
        unit="sample",
        held_on="given samples of the confirm set",
    )
    where = place_of(describe_machine())
    return variant_evidence(report, wording, where=where, when=plan.now())
