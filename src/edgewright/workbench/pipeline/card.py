"""The model card: what a person must know before they let a model decide something."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgewright.bundle import Draft
from edgewright.workbench.optimize.report import OptimizeReport
from edgewright.workbench.recipes import Task
from edgewright.workbench.train import Scores

_ENVIRONMENT = Environment(
    loader=PackageLoader("edgewright.workbench.pipeline"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - Markdown, not HTML
    keep_trailing_newline=True,
)


def model_card(draft: Draft, metrics: Scores, report: OptimizeReport, *, task: Task) -> str:
    """The card as Markdown with the front matter that model hubs read."""
    template = _ENVIRONMENT.get_template("card.md.j2")
    return template.render(
        draft=draft,
        contract=draft.contract,
        metrics=metrics,
        best=report.best,
        task=task,
        groups=task.groups,
    )


def given_card(draft: Draft, *, held_on: str, report: OptimizeReport | None, trained: str) -> str:
    """The card of a model that somebody brought."""
    template = _ENVIRONMENT.get_template("given_card.md.j2")
    return template.render(
        draft=draft, contract=draft.contract, held_on=held_on, report=report, trained=trained
    )
