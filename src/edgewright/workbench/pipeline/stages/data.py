"""data: recordings in, an immutable dataset, a split by subject that provably does not leak, a
report.
"""

from collections.abc import Mapping

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.workbench.data import Lineage, check_dataset, check_leaks
from edgewright.workbench.pipeline.manifests import hash_file
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import DATASET_OUTPUT, SPLIT_OUTPUT, Plan


def data_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""

    def reads() -> Mapping[str, str]:
        return {path.name: hash_file(path) for path in plan.recipe.sources(plan.folder)}

    def run(workshop: Workshop) -> Facts:
        workshop.tell(0.0, "reading recordings")
        dataset = plan.recipe.load_data(plan.folder)
        workshop.tell(0.4, "checking recordings")
        report = check_dataset(dataset)
        write_atomic(workshop.folder / "data.json", encode_json(report))
        if report.worst == "error":
            wrong = next(finding for finding in report.findings if finding.severity == "error")
            raise InputError(
                f"data: {wrong.message}", hint="see `edgewright data check`, then mend the source"
            )
        workshop.tell(0.6, "looking for leaks")
        split = plan.recipe.split(dataset)
        check_leaks(
            dataset,
            split,
            {
                part: plan.recipe.cut(dataset, getattr(split, part))
                for part in ("train", "val", "test")
                if getattr(split, part)
            },
        )
        name = plan.datasets.add(dataset, lineage=Lineage(command=plan.command))
        write_atomic(workshop.folder / DATASET_OUTPUT, name.encode() + b"\n")
        write_atomic(workshop.folder / SPLIT_OUTPUT, encode_json(split))
        return {
            "dataset": name,
            "recordings": len(dataset.recordings),
            "people": len(dataset.subjects),
            "split": split.name,
        }

    return Stage(
        name="data",
        follows=(),
        rooms=("steps", "workbench/data", "workbench/recipes", "workbench/pipeline/stages/data.py"),
        libraries=("numpy",),
        options={"recipe": plan.project.recipe},
        reads=reads,
        run=run,
    )
