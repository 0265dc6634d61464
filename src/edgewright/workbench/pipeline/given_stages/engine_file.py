"""The engine file that the optimize stage left."""

from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.contract import decode_json
from edgewright.workbench.optimize.report import OptimizeReport
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.stage import Workshop
from edgewright.workbench.pipeline.stages.optimize import FP32_OUTPUT, REPORT_OUTPUT

_LIMIT_BYTES = 64 << 20


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
    path = stage.output(REPORT_OUTPUT)
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, OptimizeReport, source=str(path))


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
