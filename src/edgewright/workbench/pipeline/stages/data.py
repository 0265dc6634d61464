"""data: recordings in, an immutable dataset, a split by subject that provably does not leak, a
report.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.workbench.data import (
    Dataset,
    Lineage,
    Split,
    WindowSet,
    check_dataset,
    check_leaks,
    data_page,
)
from edgewright.workbench.pipeline.manifests import hash_file
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import DATASET_OUTPUT, SPLIT_OUTPUT, Plan


def data_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""

    def reads() -> Mapping[str, str]:
        return {_named(path, plan): hash_file(path) for path in plan.recipe.sources(plan.folder)}

    def run(workshop: Workshop) -> Facts:
        workshop.tell(0.0, "reading recordings")
        data = plan.recipe.load_data(plan.folder)
        workshop.tell(0.4, "checking the data")
        if isinstance(data, Dataset):
            _check_recordings(workshop, data)
            split = plan.recipe.split(data)
            workshop.tell(0.6, "looking for leaks")
            facts = _keep_recordings(plan, data, split)
        else:
            split = plan.recipe.split(data)
            write_atomic(workshop.folder / "data.json", encode_json(data.check(split)))
            facts = {"dataset": data.content_hash, "groups": len(data.subjects)}
        name = str(facts["dataset"])
        write_atomic(workshop.folder / DATASET_OUTPUT, name.encode() + b"\n")
        write_atomic(workshop.folder / SPLIT_OUTPUT, encode_json(split))
        return {**facts, "split": split.name}

    return Stage(
        name="data",
        follows=(),
        rooms=("steps", "workbench/data", "workbench/recipes", "workbench/pipeline/stages/data.py"),
        libraries=("numpy",),
        options={"recipe": plan.project.recipe},
        reads=reads,
        run=run,
    )


def _named(path: Path, plan: Plan) -> str:
    """A source by its whole path: folders say labels and people, and names repeat in them."""
    return os.path.relpath(path, plan.folder)


def _check_recordings(workshop: Workshop, dataset: Dataset) -> None:
    report = check_dataset(dataset)
    write_atomic(workshop.folder / "data.json", encode_json(report))
    write_atomic(workshop.folder / "data.html", data_page(dataset, report).encode())
    if report.worst == "error":
        wrong = next(finding for finding in report.findings if finding.severity == "error")
        raise InputError(
            f"data: {wrong.message}", hint="see `edgewright data check`, then mend the source"
        )


def _keep_recordings(plan: Plan, dataset: Dataset, split: Split) -> Facts:
    parts: dict[str, WindowSet] = {}
    for part in ("train", "val", "test"):
        cut = plan.recipe.cut(dataset, getattr(split, part)) if getattr(split, part) else None
        if isinstance(cut, WindowSet):
            parts[part] = cut
    check_leaks(dataset, split, parts)
    name = plan.datasets.add(dataset, lineage=Lineage(command=plan.command))
    return {
        "dataset": name,
        "recordings": len(dataset.recordings),
        "people": len(dataset.subjects),
    }
