"""train: nothing to do, and the record says so."""

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop

REASON = "the model is given: nothing was trained, and nobody here measured how good it is"


def train_stage(plan: GivenPlan) -> Stage:
    """The stage, bound to a project."""

    def run(workshop: Workshop) -> Facts:
        write_atomic(workshop.folder / "train.json", encode_json({"skipped": REASON}))
        return {"skipped": REASON}

    return Stage(
        name="train",
        follows=("data",),
        rooms=("workbench/pipeline/given_stages/train.py",),
        libraries=(),
        options={"recipe": plan.project.recipe_name},
        run=run,
    )
