"""A project, walked: the library's entry point behind `edgewright run` and `edgewright train`."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright.chain.bundles import signing_key
from edgewright.chain.drift_reference import training_reference
from edgewright.chain.engines import engine_for_format
from edgewright.chain.training import trainer_for
from edgewright.clock import Clock, SystemClock
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.pipeline.budgets import TimeBudget, keep_budgets
from edgewright.workbench.pipeline.given_stages import (
    GIVEN,
    GivenPlan,
    given_options,
    plan_given_stages,
)
from edgewright.workbench.pipeline.manifests import FinishedStage
from edgewright.workbench.pipeline.project import FILE, Project, read_project
from edgewright.workbench.pipeline.stage import STORE, Stage, Walk, Watcher, walk_stages
from edgewright.workbench.pipeline.stages import STAGE_NAMES, Plan, plan_stages, publish_outputs
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.train.job import Means


class RunOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright run` was asked for."""

    folder: Path
    start: str = ""
    stop: str = ""
    overrides: tuple[str, ...] = ()
    command: str = "edgewright run"
    means: Means = Means()


class StageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One stage, for people and programs."""

    stage: str
    id: str
    seconds: float
    finished_at: str
    facts: dict[str, str | int | float]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole walk; `bundle` is the path of the bundle when the package stage was reached."""

    project: str
    stages: tuple[StageSummary, ...]
    budgets: tuple[TimeBudget, ...]
    bundle: str = ""


def run_project(order: RunOrder, *, watch: Watcher, clock: Clock | None = None) -> RunSummary:
    """Walk a project's stages and put what people look for where they look.

    Raises:
        InputError: the project, a stage's name or an option is wrong.
    """
    finished = walk_project(order, watch=watch, clock=clock)
    name = read_project(order.folder, order.overrides).name
    bundle = publish_outputs(order.folder, name, finished)
    return RunSummary(
        project=name,
        stages=tuple(_summary(stage) for stage in finished.values()),
        budgets=keep_budgets(order.folder / "reports", _durations(finished)),
        bundle=str(bundle or ""),
    )


def walk_project(
    order: RunOrder, *, watch: Watcher, clock: Clock | None = None
) -> dict[str, FinishedStage]:
    """Walk a project's stages and leave what they made in the project's store alone.

    Raises:
        InputError: the project, a stage's name or an option is wrong.
    """
    for name in (order.start, order.stop):
        if name and name not in STAGE_NAMES:
            raise InputError(f"no stage {name!r}", hint=suggestion(name, list(STAGE_NAMES)))
    if order.start and order.stop and _place(order.start) > _place(order.stop):
        raise InputError(
            f"stage {order.start} comes after {order.stop}, so nothing lies between them",
            hint=f"the order is {' '.join(STAGE_NAMES)}",
        )
    clock = clock or SystemClock()
    project = read_project(order.folder, order.overrides)
    stages = _stages(order, project, clock)
    store = order.folder / STORE
    walk = Walk(store=store, clock=clock, watch=watch, start=order.start, stop=order.stop)
    return walk_stages(stages, walk)


def _place(stage: str) -> int:
    return list(STAGE_NAMES).index(stage)


def _stages(order: RunOrder, project: Project, clock: Clock) -> tuple[Stage, ...]:
    """The stages around a network that is trained, or around a model that was brought."""
    source = f"{order.folder / FILE}: [recipe]"
    if project.recipe_name == GIVEN:
        return plan_given_stages(
            GivenPlan(
                folder=order.folder,
                project=project,
                options=given_options(project.recipe_options, source=source),
                engine=engine_for_format,
                signer=signing_key,
                command=order.command,
                clock=clock,
            )
        )
    return plan_stages(
        Plan(
            folder=order.folder,
            project=project,
            recipe=find_recipe(project.recipe_name).with_options(
                project.recipe_options, source=source
            ),
            engine=engine_for_format,
            signer=signing_key,
            command=order.command,
            clock=clock,
            means=order.means,
            trainer=trainer_for(order.means),
            reference=training_reference,
        )
    )


def _durations(finished: dict[str, FinishedStage]) -> dict[str, float]:
    """The durations that the first users budget: the export alone, and optimise plus convert."""
    seconds = {name: stage.manifest.seconds for name, stage in finished.items()}
    durations = {}
    if "optimize" in finished:
        exported = finished["optimize"].manifest.facts.get("export_seconds")
        if exported is not None:
            durations["export"] = float(exported)
    if "convert" in finished:
        durations["compile"] = seconds["optimize"] + seconds["convert"]
    return durations


def _summary(stage: FinishedStage) -> StageSummary:
    manifest = stage.manifest
    return StageSummary(
        stage=manifest.stage,
        id=manifest.id,
        seconds=manifest.seconds,
        finished_at=manifest.finished_at,
        facts=manifest.facts,
    )


def known_stages() -> Sequence[str]:
    """The stages in order."""
    return STAGE_NAMES
