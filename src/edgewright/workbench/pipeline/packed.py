"""What both kinds of package stage share: the project's own budgets, evidence of a variant, the
signed bundle.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright.bundle import Draft, build_bundle, open_bundle, with_bom
from edgewright.bundle.build import Content
from edgewright.bundle.manifest import Role
from edgewright.contract import Budgets, Evidence, Tolerances
from edgewright.errors import GateError
from edgewright.measure.machine import Machine
from edgewright.trust import Signer
from edgewright.workbench.optimize.report import OptimizeReport
from edgewright.workbench.pipeline.project import Project
from edgewright.workbench.pipeline.stage import Facts, Workshop

# How far two processors may be apart on the same file, not two precisions (ADR 5).
ACROSS_PROCESSORS = {
    "fp32": Tolerances(),
    "int8": Tolerances(max_abs=0.25, max_rel=0.1, cosine=0.995, norm_ratio=1.05),
}


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """How evidence calls things: what is compared, the unit of a sample."""

    drop: str
    ratio: str
    unit: str
    held_on: str


def overridden(budgets: Budgets, project: Budgets) -> Budgets:
    """The model's budgets with what the project file says of its own."""
    own = {name: getattr(project, name) for name in project.__struct_fields__}
    return msgspec.structs.replace(
        budgets, **{name: value for name, value in own.items() if value is not None}
    )


def place_of(machine: Machine) -> str:
    """Where something was measured, as evidence says it."""
    return f"{machine.cpu}, {machine.architecture}, {machine.cores} cores"


def variant_evidence(
    report: OptimizeReport, wording: Wording, *, where: str, when: str
) -> tuple[Evidence, ...]:
    """What the search measured of the chosen variant."""
    best = report.best
    found = []
    if best.metric_drop is not None:
        found.append(
            Evidence(
                name=wording.drop,
                value=best.metric_drop,
                unit="points",
                high=best.metric_drop_upper,
                how=report.bound,
                where=where,
                when=when,
                on=f"{best.rows} {wording.held_on}",
            )
        )
    if best.latency_ratio is not None:
        found.append(
            Evidence(
                name=wording.ratio,
                value=best.latency_ratio,
                unit="1",
                low=best.latency_ratio_low,
                high=best.latency_ratio_high,
                how=f"{best.latency_rounds} interleaved rounds, one thread",
                where=where,
                when=when,
                on=f"one {wording.unit}",
            )
        )
    return tuple(found)


def sign_and_keep(
    workshop: Workshop,
    project: Project,
    draft: Draft,
    contents: Sequence[tuple[Role, str, Content]],
    signer: Signer,
) -> Facts:
    """Build, sign, and read the bundle back.

    Raises:
        GateError: the model is larger than its contract allows; nothing is packed.
    """
    _check_size(draft.contract.budgets, contents)
    name = f"{project.name}-{project.version}.ewb"
    path = workshop.folder / name
    build_bundle(path, draft, with_bom(draft, contents), signers=[signer])
    return {
        "bundle": open_bundle(path).id,
        "file": name,
        "size_bytes": path.stat().st_size,
        "signed_by": signer.public.key_id,
        "precision": draft.precision,
    }


def _check_size(budgets: Budgets, contents: Sequence[tuple[Role, str, Content]]) -> None:
    sizes = [
        content.stat().st_size if isinstance(content, Path) else len(content)
        for role, _, content in contents
        if role == "model"
    ]
    if budgets.size_mb is not None and sum(sizes) > budgets.size_mb * 1e6:
        raise GateError(
            "size of the model",
            measured=round(sum(sizes) / 1e6, 3),
            limit=budgets.size_mb,
            unit="MB",
            hint="choose a smaller network, or raise size_mb in [budgets]",
        )


def package_options(project: Project) -> dict[str, object]:
    """What of the project file decides a bundle."""
    return {
        "package": project.package,
        "name": project.name,
        "version": project.version,
        "budgets": project.budgets,
    }


def signing_key(folder: Path, project: Project) -> Path:
    """Where the project says its key lies."""
    return folder / project.package.key
