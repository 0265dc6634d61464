"""The report of a run: how good, for whom, how sure, how stable, on what, made how.

A value that JSON, a page and the model card are written from.
"""

import json
from collections.abc import Sequence

import msgspec
import numpy as np
from torch import nn

from edgewright.contract import Contract
from edgewright.workbench.data import Samples
from edgewright.workbench.recipes import Task
from edgewright.workbench.train.curves import curve_svg, scatter_svg
from edgewright.workbench.train.embedding import EmbeddingQuality, embedding_quality
from edgewright.workbench.train.evaluation import evaluate_task, predict
from edgewright.workbench.train.fairness import AttributeTable, attribute_tables
from edgewright.workbench.train.metrics import Metrics
from edgewright.workbench.train.pages import CARDS, PAGES
from edgewright.workbench.train.record import RunRecord
from edgewright.workbench.train.reliability import Bin, reliability
from edgewright.workbench.train.scores import Scores, score_outputs
from edgewright.workbench.train.value_metrics import ValueMetrics

REPORT_SCHEMA_VERSION = 1
_MOST_GROUPS = 60
_LATENT = "latent"
_PERSON = "person"
"""Names of people say their source when sources were merged; a file's name says its folder."""
_PIPELINE_TAGS = {
    "classification": "tabular-classification",
    "regression": "tabular-regression",
    "segmentation": "image-segmentation",
}


class SeedScore(msgspec.Struct, frozen=True, kw_only=True):
    """The test scores of the same training with another seed."""

    seed: int
    weights: str
    scores: dict[str, float]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over seeds; `std` is the sample's."""

    metric: str
    seeds: int
    mean: float
    std: float
    lowest: float
    highest: float


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a person should know of a run before they use its model."""

    name: str
    task: Task
    record: RunRecord
    test: Scores
    calibration: tuple[Bin, ...]
    attributes: tuple[AttributeTable, ...]
    embedding: EmbeddingQuality | None
    seeds: tuple[SeedScore, ...]
    spread: tuple[Spread, ...]
    schema_version: int = REPORT_SCHEMA_VERSION


def make_report(
    name: str,
    record: RunRecord,
    module: nn.Module,
    *,
    task: Task,
    contract: Contract,
    train: Samples,
    test: Samples,
    seeds: Sequence[SeedScore] = (),
) -> RunReport:
    """Score a run's module on the test samples, and all that belongs to it."""
    if task.kind == "segmentation":
        # Scored batch by batch: the logits of all masks may not fit in memory.
        return _report(name, record, task, evaluate_task(module, test, task), seeds)
    outputs = predict(module, test)
    scores = score_outputs(task, outputs[-1], test)
    if not isinstance(scores, Metrics):
        return _report(name, record, task, scores, seeds)
    right = outputs[-1].argmax(axis=1) == test.target
    embedding = None
    if contract.outputs and contract.outputs[0].name == _LATENT and len(outputs) > 1:
        embedding = embedding_quality(
            (predict(module, train)[0], train.target),
            (outputs[0], test.target),
            group=test.group,
            labels=test.labels,
            warning=test.warning,
        )
    return msgspec.structs.replace(
        _report(name, record, task, scores, seeds),
        calibration=reliability(outputs[-1], test.target),
        attributes=attribute_tables(
            record.options.groups, test.group, right, by_source=task.group == _PERSON
        ),
        embedding=embedding,
    )


def spread_of(seeds: Sequence[SeedScore]) -> tuple[Spread, ...]:
    """Mean and spread of every figure over seeds; nothing for fewer than two."""
    if len(seeds) < 2:
        return ()
    found = []
    for metric in seeds[0].scores:
        values = np.array([each.scores[metric] for each in seeds if metric in each.scores])
        found.append(
            Spread(
                metric=metric,
                seeds=len(values),
                mean=float(values.mean()),
                std=float(values.std(ddof=1)),
                lowest=float(values.min()),
                highest=float(values.max()),
            )
        )
    return tuple(found)


def render_report(report: RunReport) -> str:
    """The report as one HTML page."""
    epochs = report.record.epochs
    curves = [
        curve_svg(
            "loss, by epoch",
            {
                "training": [(float(e.epoch), e.train_loss) for e in epochs],
                "watched": [(float(e.epoch), e.val_loss) for e in epochs],
            },
        ),
        *(
            curve_svg(
                f"{name.replace('_', ' ')} (watched), by epoch",
                {name: [(float(e.epoch), e.val[name]) for e in epochs if name in e.val]},
            )
            for name in epochs[-1].val
        ),
        curve_svg("learning rate, by epoch", {"lr": [(float(e.epoch), e.lr) for e in epochs]}),
    ]
    if isinstance(report.test, ValueMetrics):
        title = "predicted (up) against true (across), test rows"
        curves.append(scatter_svg(title, report.test.pairs))
    if report.calibration:
        points = [(b.confidence, b.accuracy) for b in report.calibration]
        curves.append(
            curve_svg("accuracy, by confidence", {"model": points, "ideal": [(0, 0), (1, 1)]})
        )
    return PAGES.get_template("report.html.jinja").render(
        report=report, record=report.record, curves=curves, most=_MOST_GROUPS
    )


def render_card(report: RunReport) -> str:
    """The model card as Markdown, with the front matter that model hubs read (JSON is YAML)."""
    facts = card_facts(report)
    matter = "\n".join(f"{key}: {json.dumps(value)}" for key, value in facts.items())
    return CARDS.get_template("card.md.jinja").render(
        report=report, record=report.record, matter=matter, most=_MOST_GROUPS
    )


def card_facts(report: RunReport) -> dict[str, object]:
    """The model card for programs, in the words of Hugging Face's model index."""
    record, task = report.record, report.task
    tag = _PIPELINE_TAGS[task.kind]
    measured = [
        {"type": name, "name": name.replace("_", " "), "value": round(value, 6)}
        for name, value in report.test.headline.items()
    ]
    dataset = record.origin.dataset or "unnamed"
    return {
        "license": "other",
        "library_name": "edgewright",
        "pipeline_tag": tag,
        "tags": ["edgewright", "edge", record.recipe],
        "metrics": list(report.test.headline),
        "model-index": [
            {
                "name": report.name,
                "results": [
                    {
                        "task": {"type": tag},
                        "dataset": {
                            "name": f"{record.recipe} {dataset[:12]}",
                            "type": dataset,
                            "split": record.origin.split.name if record.origin.split else "unnamed",
                        },
                        "metrics": measured,
                    }
                ],
            }
        ],
    }


def _report(
    name: str, record: RunRecord, task: Task, test: Scores, seeds: Sequence[SeedScore]
) -> RunReport:
    return RunReport(
        name=name,
        task=task,
        record=record,
        test=test,
        calibration=(),
        attributes=(),
        embedding=None,
        seeds=tuple(seeds),
        spread=spread_of(seeds),
    )
