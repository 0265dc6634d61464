"""What both kinds of optimize stage share: options from the project file, files and facts of a
finished search.
"""

import shutil
from pathlib import Path

from edgewright._fs import read_limited
from edgewright.contract import decode_json
from edgewright.workbench.optimize import OptimizeOptions, OptimizeReport
from edgewright.workbench.pipeline.project import OptimizeSection
from edgewright.workbench.pipeline.stage import Facts

FP32_OUTPUT = "fp32.onnx"
REPORT_OUTPUT = "report.json"
_MEASURED = ("size_bytes", "latency_ratio", "metric", "metric_drop", "metric_drop_upper")
_LIMIT_BYTES = 64 << 20


def search_options(section: OptimizeSection) -> OptimizeOptions:
    """`[optimize]` as the search takes it."""
    return OptimizeOptions(
        max_drop=section.max_drop,
        objective=section.objective,
        target=section.target or None,
        seed=section.seed,
    )


def read_report(path: Path) -> OptimizeReport:
    """The report of a finished search."""
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, OptimizeReport, source=str(path))


def take_found(found: Path, folder: Path) -> None:
    """Copy what a search left."""
    for path in found.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


def facts_of(report: OptimizeReport) -> Facts:
    """The chosen variant in a few figures."""
    best = report.best
    measured = {name: getattr(best, name) for name in _MEASURED}
    return {
        "chosen": f"{best.format} {best.recipe}",
        "verdict": report.verdict,
        "candidates": len(report.candidates),
        **{name: value for name, value in measured.items() if value is not None},
    }
