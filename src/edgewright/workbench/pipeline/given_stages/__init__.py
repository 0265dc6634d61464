"""The six stages of a project around a model that somebody brought: nothing is trained, and the
train stage says so.
"""

from edgewright.workbench.pipeline.given_stages.data import data_stage
from edgewright.workbench.pipeline.given_stages.optimize import optimize_stage
from edgewright.workbench.pipeline.given_stages.package import package_stage
from edgewright.workbench.pipeline.given_stages.plan import GIVEN, GivenPlan, given_options
from edgewright.workbench.pipeline.given_stages.train import train_stage
from edgewright.workbench.pipeline.given_stages.verify import verify_stage
from edgewright.workbench.pipeline.stage import Stage
from edgewright.workbench.pipeline.stages.convert import convert_stage


def plan_given_stages(plan: GivenPlan) -> tuple[Stage, ...]:
    """The stages in order."""
    return (
        data_stage(plan),
        train_stage(plan),
        optimize_stage(plan),
        convert_stage(plan),
        verify_stage(plan),
        package_stage(plan),
    )


__all__ = ["GIVEN", "GivenPlan", "given_options", "plan_given_stages"]
