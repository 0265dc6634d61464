"""verify: every engine file against the given model, on the given samples and on edge inputs."""

from pathlib import Path

import msgspec

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.errors import GateError
from edgewright.workbench.given import GivenSamples
from edgewright.workbench.pipeline.given_stages.engine_file import EngineFile, chosen_file
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.optimize import FP32_OUTPUT
from edgewright.workbench.verify import (
    LOSSY,
    STRICT,
    ParityOrder,
    ParityReport,
    run_rows,
    verify,
)

GOLDEN_ROWS = 256


class VerifiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One engine file and what the comparison said."""

    file: str
    precision: str
    parity: ParityReport


def verify_stage(plan: GivenPlan) -> Stage:
    """The stage, bound to a project."""

    def run(workshop: Workshop) -> Facts:
        samples = plan.samples()
        if samples.layout != "rows":
            return _one_request(plan, workshop, samples)
        return _compare(plan, workshop, samples)

    return Stage(
        name="verify",
        follows=("data", "train", "optimize", "convert"),
        rooms=(
            "evidence",
            "runtimes",
            "workbench/given",
            "workbench/verify",
            "workbench/pipeline/given_stages/engine_file.py",
            "workbench/pipeline/given_stages/verify.py",
        ),
        libraries=("numpy", "onnxruntime"),
        options=plan.project.optimize,
        run=run,
    )


def _compare(plan: GivenPlan, workshop: Workshop, samples: GivenSamples) -> Facts:
    golden = samples.spread(GOLDEN_ROWS)
    reference = plan.engine(plan.format).open(plan.model)
    verified = []
    files = _engine_files(plan, workshop)
    for at, file in enumerate(files):
        workshop.tell(at / len(files), file.path.name)
        session = plan.engine(file.format).open(file.path)
        report = verify(
            lambda arrays: run_rows(reference, arrays),
            lambda arrays, session=session: run_rows(session, arrays),  # type: ignore[misc]  # bound now
            golden.arrays,
            order=_order(plan, file),
        )
        session.close()
        verified.append(VerifiedFile(file=file.path.name, precision=file.precision, parity=report))
    reference.close()
    write_atomic(workshop.folder / "verify.json", encode_json({"files": verified}))
    for one in verified:
        if not one.parity.ok:
            raise GateError(
                f"parity of {one.file}: {one.parity.reasons[0]}; checks missed",
                measured=len(one.parity.reasons),
                limit=0,
                hint="see `edgewright verify` for the first diverging node",
            )
    return {one.file: f"answers like the given model ({one.precision})" for one in verified}


def _one_request(plan: GivenPlan, workshop: Workshop, samples: GivenSamples) -> Facts:
    """Nothing was changed, so there is nothing to compare: the data stage asked it twice."""
    text = (
        f"{plan.model.name} is packed as it is; it answered {samples.count} request(s) repeatably"
    )
    write_atomic(workshop.folder / "verify.json", encode_json({"as_given": text}))
    return {plan.model.name: text}


def _order(plan: GivenPlan, file: EngineFile) -> ParityOrder:
    """A lossy variant keeps what the search measured; parity guards against a broken file."""
    if file.is_exact:
        return STRICT
    tolerances = msgspec.structs.replace(
        LOSSY, metric_drop_points=max(plan.project.optimize.max_drop, 0.5)
    )
    return ParityOrder(tolerances=tolerances, edges_count=False)


def _engine_files(plan: GivenPlan, workshop: Workshop) -> list[EngineFile]:
    chosen = chosen_file(plan, workshop)
    files = [chosen]
    if plan.is_onnx and chosen.path.name != FP32_OUTPUT:
        given = workshop.output("optimize", FP32_OUTPUT)
        files.insert(0, EngineFile(path=given, format="onnx", precision="as-given", is_exact=True))
    converted = workshop.finished["convert"]
    files += [
        EngineFile(path=converted.folder / name, format="onnx", precision="fp32", is_exact=True)
        for name in converted.manifest.outputs
        if Path(name).suffix == ".onnx"
    ]
    return files
