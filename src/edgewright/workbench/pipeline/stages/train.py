"""train: windows in, a run that was tested on people it never saw."""

import shutil

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.train import (
    Progress,
    RunOrigin,
    evaluate_task,
    load_run,
    train,
    train_options,
)
from edgewright.workbench.train.runs import MODEL_FILE, RUN_FILE


def train_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""
    options = train_options(plan.recipe, plan.project.train, source="[train]")

    def run(workshop: Workshop) -> Facts:
        def tell(progress: Progress) -> None:
            text = f"epoch {progress.epoch} of {progress.epochs}, loss {progress.loss:.3f}"
            workshop.tell(progress.step / max(progress.steps, 1), text)

        dataset, split = plan.dataset(workshop), plan.split(workshop)
        record = train(
            plan.recipe,
            plan.recipe.cut(dataset, split.train),
            plan.recipe.cut(dataset, split.val or split.train),
            options,
            workshop.desk,
            on_progress=tell,
            resume=True,
            origin=RunOrigin(dataset=dataset.content_hash, split=split, command=plan.command),
        )
        for name in (MODEL_FILE, RUN_FILE):
            shutil.copyfile(workshop.desk / name, workshop.folder / name)
        module, _ = load_run(workshop.folder)
        metrics = evaluate_task(module, plan.recipe.cut(dataset, split.test), plan.recipe.task)
        write_atomic(workshop.folder / "train.json", encode_json(metrics))
        return {
            "run": record.weights,
            "parameters": record.parameters,
            **{f"test_{name}": value for name, value in metrics.headline.items()},
            f"test_{plan.recipe.task.unit}s": metrics.rows,
            f"worst_{plan.recipe.task.group}": metrics.worst_group,
        }

    return Stage(
        name="train",
        follows=("data",),
        rooms=(
            "steps",
            "workbench/data",
            "workbench/recipes",
            "workbench/train",
            "workbench/pipeline/stages/train.py",
        ),
        libraries=("numpy", "torch"),
        options=options,
        run=run,
    )
