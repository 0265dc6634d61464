"""verify: every engine file against the run it came from, on test windows and on edge inputs."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch

from edgewright._fs import read_limited, write_atomic
from edgewright.contract import decode_json, encode_json
from edgewright.errors import GateError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.run_source import graph_outputs
from edgewright.workbench.data import Samples
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.optimize.report import OptimizeReport
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.optimize import (
    FP32_OUTPUT,
    REPORT_OUTPUT,
)
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.train import load_run
from edgewright.workbench.verify import LOSSY, STRICT, ParityOrder, ParityReport, verify

GOLDEN_ROWS = 256

_LIMIT_BYTES = 64 << 20


class VerifiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One engine file and what the comparison said."""

    file: str
    precision: str
    parity: ParityReport


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
        write_atomic(workshop.folder / "verify.json", encode_json({"files": verified}))
        for one in verified:
            if not one.parity.ok:
                raise GateError(
                    f"parity of {one.file}: {one.parity.reasons[0]}; checks missed",
                    measured=len(one.parity.reasons),
                    limit=0,
                    hint="see `edgewright verify` for the first diverging node",
                )
        return {one.file: f"parity holds ({one.precision})" for one in verified}

    return Stage(
        name="verify",
        follows=("data", "train", "optimize", "convert"),
        rooms=(
            "evidence",
            "runtimes",
            "workbench/verify",
            "workbench/pipeline/stages/verify.py",
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
    report_path = workshop.output("optimize", REPORT_OUTPUT)
    content = read_limited(report_path, limit_bytes=_LIMIT_BYTES)
    report = decode_json(content, OptimizeReport, source=str(report_path))
    tolerances = msgspec.structs.replace(
        LOSSY, metric_drop_points=max(plan.project.optimize.max_drop, 0.5)
    )
    lossy = ParityOrder(tolerances=tolerances, edges_count=False)
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
