"""train: samples in, a run that was tested on people it never saw, its report and model card."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgewright._fs import make_dirs, write_atomic
from edgewright.contract import encode_json
from edgewright.workbench.data import Samples
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.train import Progress, TrainOptions, load_run, train_options
from edgewright.workbench.train.evaluation import evaluate_task
from edgewright.workbench.train.job import Job
from edgewright.workbench.train.live import LivePage
from edgewright.workbench.train.progress import OnProgress
from edgewright.workbench.train.report import (
    RunReport,
    SeedScore,
    card_facts,
    make_report,
    render_card,
    render_report,
)
from edgewright.workbench.train.runs import MODEL_FILE, RUN_FILE

LIVE_PAGE = "train-live.html"


def train_stage(plan: Plan) -> Stage:
    """The stage, bound to a project."""
    options = train_options(plan.recipe, plan.project.train, source="[train]")

    def run(workshop: Workshop) -> Facts:
        test = plan.samples(workshop, "test")
        page = LivePage(
            plan.folder / "reports" / LIVE_PAGE,
            name=plan.project.name,
            unit=plan.recipe.task.unit,
            clock=plan.clock,
        )
        with _Watchers(plan, page) as watchers:
            scored = [
                _one_seed(plan, workshop, options, number, test=test, watch=watchers)
                for number in range(options.seeds)
            ]
        for name in (MODEL_FILE, RUN_FILE):
            shutil.copyfile(workshop.desk / name, workshop.folder / name)
        module, record = load_run(workshop.folder)
        report = make_report(
            plan.project.name,
            record,
            module,
            task=plan.recipe.task,
            contract=plan.recipe.contract(record.facts),
            train=plan.samples(workshop, "train"),
            test=test,
            seeds=scored,
        )
        _write(workshop.folder, report)
        page.end(f"Done: {_said(report)}. The report is train.html beside this page.")
        return _facts(plan, report)

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


class _Watchers:
    """Who is told how far training is: the page, and TensorBoard when asked."""

    def __init__(self, plan: Plan, page: LivePage) -> None:
        make_dirs(plan.folder / "reports")
        self._told: list[OnProgress] = [page]
        self._close: Callable[[], None] = lambda: None
        if plan.means.tensorboard:
            events = importlib.import_module("edgewright.workbench.train.events").Events(
                plan.folder / "reports" / "tensorboard", clock=plan.clock
            )
            self._told.append(events)
            self._close = events.close

    def __enter__(self) -> OnProgress:
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._close()

    def _tell(self, progress: Progress) -> None:
        for each in self._told:
            each(progress)


def _one_seed(
    plan: Plan,
    workshop: Workshop,
    options: TrainOptions,
    number: int,
    *,
    test: Samples,
    watch: OnProgress,
) -> SeedScore:
    """Train with one seed, test once; only the first seed's training is watched on the page."""
    seed = options.seed + number
    desk = make_dirs(workshop.desk / f"seed-{seed}") if number else workshop.desk

    def tell(progress: Progress) -> None:
        which = f"seed {number + 1} of {options.seeds}, " if options.seeds > 1 else ""
        text = f"{which}epoch {progress.epoch} of {progress.epochs}, loss {progress.loss:.3f}"
        share = progress.step / max(progress.steps, 1)
        workshop.tell((number + share) / options.seeds, text)
        if not number:
            watch(progress)

    job = Job(
        recipe=plan.recipe.name,
        recipe_options=msgspec.to_builtins(plan.recipe.options),
        folder=str(plan.folder.resolve()),
        store=str(plan.store.resolve() / "datasets"),
        dataset=plan.data_name(workshop),
        split=plan.split(workshop),
        options=msgspec.structs.replace(options, seed=seed),
        out_dir=str(desk.resolve()),
        command=plan.command,
        mirror=plan.means.mirror,
        resume=plan.means.resume or not plan.means.mirror,
    )
    record = plan.trainer(job, tell)
    module, _ = load_run(desk)
    scores = evaluate_task(module, test, plan.recipe.task)
    return SeedScore(seed=seed, weights=record.weights, scores=scores.headline)


def _write(folder: Path, report: RunReport) -> None:
    write_atomic(folder / "train.json", encode_json(report.test))
    write_atomic(folder / "report.json", encode_json(report))
    write_atomic(folder / "train.html", render_report(report).encode())
    write_atomic(folder / "model_card.md", render_card(report).encode())
    text = json.dumps(card_facts(report), indent=2)
    write_atomic(folder / "model_card.json", text.encode() + b"\n")


def _said(report: RunReport) -> str:
    first = report.test.figures[0]
    return f"test {first.name} {first.value:.4f}"


def _facts(plan: Plan, report: RunReport) -> Facts:
    task, test = plan.recipe.task, report.test
    facts: Facts = {
        "run": report.record.weights,
        "parameters": report.record.parameters,
        **{f"test_{name}": value for name, value in test.headline.items()},
        f"test_{task.unit}s": test.rows,
        f"worst_{task.group}": test.worst_group,
    }
    for spread in report.spread:
        facts[f"{spread.metric}_std_over_seeds"] = spread.std
    if report.embedding is not None:
        facts["linear_probe_accuracy"] = report.embedding.linear_probe.accuracy
    return facts
