"""The six stages of a project, one file each, and where their outputs go for people."""

from edgewright.workbench.pipeline.stage import Stage
from edgewright.workbench.pipeline.stages.convert import convert_stage
from edgewright.workbench.pipeline.stages.data import data_stage
from edgewright.workbench.pipeline.stages.optimize import optimize_stage
from edgewright.workbench.pipeline.stages.package import package_stage
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.pipeline.stages.publish import publish_outputs
from edgewright.workbench.pipeline.stages.train import train_stage
from edgewright.workbench.pipeline.stages.verify import verify_stage

STAGE_NAMES = ("data", "train", "optimize", "convert", "verify", "package")


def plan_stages(plan: Plan) -> tuple[Stage, ...]:
    """The stages of a project in order."""
    return (
        data_stage(plan),
        train_stage(plan),
        optimize_stage(plan),
        convert_stage(plan),
        verify_stage(plan),
        package_stage(plan),
    )


__all__ = ["STAGE_NAMES", "Plan", "plan_stages", "publish_outputs"]
