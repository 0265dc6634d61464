"""verify: every engine file against the run it came from, on test windows and on edge inputs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from edgewright.runtimes.base import Array
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.data import Samples
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.pipeline.searched import FP32_OUTPUT, REPORT_OUTPUT, read_report
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.pipeline.verified import (
    GOLDEN_ROWS,
    VerifiedFile,
    keep_verified,
    lossy_order,
)
from edgewright.workbench.train import load_run
from edgewright.workbench.verify import STRICT, ParityOrder, verify


def verify_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""

    def run(workshop: Workshop) -> Facts:
        module, record = load_run(workshop.output("train", "run.json").parent)
        names = graph_outputs(plan.recipe.contract(record.facts))

        def reference(arrays: Mapping[str, Array]) -> dict[str, Array]:
            with torch.inference_mode():
                outputs = module(*(torch.from_numpy(arrays[name]) for name in samples.inputs))
            return {name: out.numpy() for name, out in zip(names, outputs, strict=True)}

        samples = some_rows(plan.samples(workshop, "test"), GOLDEN_ROWS)
        verified = []
        files = _engine_files(plan, workshop)
        for at, (path, order) in enumerate(files):
            workshop.tell(at / len(files), path.name)
            session = plan.engine(_format_of(path)).open(path)
            report = verify(
                reference,
                session.run,
                input_arrays(samples),
                labels=samples.target,
                order=order,
            )
            session.close()
            precision = "int8" if order is not STRICT else "fp32"
            verified.append(VerifiedFile(file=path.name, precision=precision, parity=report))
        keep_verified(workshop, verified)
        return {one.file: f"parity holds ({one.precision})" for one in verified}

    return Stage(
        name="verify",
        follows=("data", "train", "optimize", "convert"),
        rooms=(
            "evidence",
            "runtimes",
            "workbench/verify",
            "workbench/pipeline/stages/verify.py",
            "workbench/pipeline/verified.py",
        ),
        libraries=("numpy", "onnxruntime", "torch"),
        options=plan.project.optimize,
        run=run,
    )


def some_rows(samples: Samples, count: int) -> Samples:
    """At most so many rows, spread evenly."""
    rows = np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(np.intp)
    return samples.take(rows)


def _engine_files(plan: Plan, workshop: Workshop) -> list[tuple[Path, ParityOrder]]:
    report = read_report(workshop.output("optimize", REPORT_OUTPUT))
    lossy = lossy_order(plan.project.optimize.max_drop)
    files = [(workshop.output("optimize", FP32_OUTPUT), STRICT)]
    if "fp32" not in report.best.recipe:
        files.append((workshop.output("optimize", report.best_file), lossy))
    converted = workshop.finished["convert"]
    files += [
        (converted.folder / name, STRICT)
        for name in converted.manifest.outputs
        if Path(name).suffix == ".onnx"
    ]
    return files


def _format_of(path: Path) -> str:
    return path.suffix.removeprefix(".")
