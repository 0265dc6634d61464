"""The engine file that the optimize stage left."""

from pathlib import Path

import msgspec

from edgewright.workbench.optimize.report import OptimizeReport
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.searched import FP32_OUTPUT, REPORT_OUTPUT, read_report
from edgewright.workbench.pipeline.stage import Workshop


class EngineFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its format, its precision in a word, and whether it computes like the given one."""

    path: Path
    format: str
    precision: str
    is_exact: bool


def search_report(workshop: Workshop) -> OptimizeReport | None:
    """What the search found; None where none was made."""
    stage = workshop.finished["optimize"]
    if REPORT_OUTPUT not in stage.manifest.outputs:
        return None
    return read_report(stage.output(REPORT_OUTPUT))


def chosen_file(plan: GivenPlan, workshop: Workshop) -> EngineFile:
    """The file that is packed."""
    report = search_report(workshop)
    if report is None:
        name = FP32_OUTPUT if plan.is_onnx else f"given{plan.model.suffix}"
        path = workshop.output("optimize", name)
        return EngineFile(path=path, format=plan.format, precision="as-given", is_exact=True)
    is_exact = "fp32" in report.best.recipe
    return EngineFile(
        path=workshop.output("optimize", report.best_file),
        format=report.best.format,
        precision="as-given" if is_exact else "int8",
        is_exact=is_exact,
    )
