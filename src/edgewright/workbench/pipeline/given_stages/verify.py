"""verify: every engine file against the given model, on the given samples and on edge inputs."""

from pathlib import Path

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.workbench.given import GivenSamples
from edgewright.workbench.pipeline.given_stages.engine_file import EngineFile, chosen_file
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.searched import FP32_OUTPUT
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.verified import (
    GOLDEN_ROWS,
    VERIFY_OUTPUT,
    VerifiedFile,
    keep_verified,
    lossy_order,
)
from edgewright.workbench.verify import STRICT, run_rows, verify


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
            "workbench/pipeline/verified.py",
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
            order=STRICT if file.is_exact else lossy_order(plan.project.optimize.max_drop),
        )
        session.close()
        verified.append(VerifiedFile(file=file.path.name, precision=file.precision, parity=report))
    reference.close()
    keep_verified(workshop, verified)
    return {one.file: f"answers like the given model ({one.precision})" for one in verified}


def _one_request(plan: GivenPlan, workshop: Workshop, samples: GivenSamples) -> Facts:
    """Nothing was changed, so there is nothing to compare: the data stage asked it twice."""
    text = (
        f"{plan.model.name} is packed as it is; it answered {samples.count} request(s) repeatably"
    )
    write_atomic(workshop.folder / VERIFY_OUTPUT, encode_json({"as_given": text}))
    return {plan.model.name: text}


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
