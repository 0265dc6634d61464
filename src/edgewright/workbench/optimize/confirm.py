"""The last word: finalists meet data that selected nothing, one after the other, until one proves
the budget.
"""

from collections.abc import Sequence

from edgewright.workbench.optimize.bound import least_upper
from edgewright.workbench.optimize.choose import (
    by_objective,
    loses_to,
    not_faster,
    not_frugal,
    rejected_for_bound,
    rejected_for_drop,
    shortlist,
)
from edgewright.workbench.optimize.options import OptimizeOptions
from edgewright.workbench.optimize.scales import Scales
from edgewright.workbench.optimize.trial import Trial, batch_fault, edge_fault
from edgewright.workbench.verify import Accuracy

MAX_CONFIRMED = 4


def confirm(trials: Sequence[Trial], scales: Scales, options: OptimizeOptions) -> Trial:
    """The chosen one, the baseline where nothing is better; every trial has its verdict
    afterwards.
    """
    _reject_for_what_is_known(trials, options)
    ordered = by_objective(_open(trials), options.objective)
    winner = _first_confirmed(ordered, scales, options)
    if winner is None:
        scales.baseline.settle("chosen", "no variant is better and proves the budget")
        return scales.baseline
    for trial in _open(trials):
        if trial is not winner:
            trial.settle("fits", loses_to(trial, winner, options.objective))
    winner.settle("chosen", _praise(winner, options))
    scales.baseline.settle("baseline", "what every variant is compared to")
    return winner


def _open(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.is_open]


def _reject_for_what_is_known(trials: Sequence[Trial], options: OptimizeOptions) -> None:
    for trial in _open(trials):
        reason = ""
        if trial.drop:
            reason = rejected_for_drop(
                trial.drop, options.max_drop, rows=trial.rows, where="select"
            )
        if not reason and trial.ratio:
            reason = not_faster(trial.ratio, options.objective)
        if not reason and options.objective == "energy":
            reason = not_frugal(trial.energy_ratio)
        if reason:
            trial.settle("rejected", reason)


def _first_confirmed(
    ordered: Sequence[Trial], scales: Scales, options: OptimizeOptions
) -> Trial | None:
    rows = scales.data.confirm.rows
    asked, left = shortlist(ordered, MAX_CONFIRMED, options.max_drop, confirm_rows=rows)
    for trial in asked:
        if not (reason := _doubt(trial, scales, options)):
            return trial
        trial.settle("rejected", reason)
    for trial in left:
        trial.settle(
            "rejected", f"{MAX_CONFIRMED} that promised more did not prove the budget already"
        )
    return None


def _doubt(trial: Trial, scales: Scales, options: OptimizeOptions) -> str:
    """Why it cannot be chosen; empty when it can."""
    data = scales.data
    inputs = data.select.inputs
    fault = edge_fault(trial.session, inputs, options.seed)
    if fault := fault or batch_fault(trial.session, inputs):
        return fault
    scales.score([trial], "confirm")
    if not trial.is_open:
        return trial.reason
    assert trial.drop  # noqa: S101  # an open trial was scored
    is_accuracy = isinstance(data.judge.metric, Accuracy)
    least = least_upper(data.confirm.rows) if is_accuracy else None
    return rejected_for_bound(trial.drop, options.max_drop, rows=data.confirm.rows, least=least)


def _praise(winner: Trial, options: OptimizeOptions) -> str:
    assert winner.drop and winner.ratio  # noqa: S101,PT018  # a confirmed trial has both
    what = {"latency": "the fastest", "size": "the smallest", "energy": "the most frugal"}
    energy = winner.energy_ratio
    return (
        f"{what[options.objective]} variant whose 95 % bound on the drop "
        f"({winner.drop.upper:.2f} points) keeps the budget of {options.max_drop:g}; "
        f"{winner.ratio.value:.2f} times the p50 of fp32"
        + (f", {energy.value:.2f} times its energy" if energy else "")
    )
