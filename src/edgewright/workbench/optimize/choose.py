"""The rules of the search: who is out, who goes first. Values in, values out.

>>> from edgewright.evidence.interval import Interval
>>> rejected_for_speed(Interval(1.4, 1.3, 1.5))
'slower than fp32: 1.40 times its p50 (1.30 to 1.50)'
>>> rejected_for_speed(Interval(0.5, 0.4, 0.6))
''
"""

import math
from collections.abc import Sequence

from edgewright.evidence.interval import Interval
from edgewright.workbench.optimize.bound import Drop
from edgewright.workbench.optimize.options import Objective
from edgewright.workbench.optimize.trial import Trial

TIE = 0.03
"""Closer than this, two latencies are the same and the smaller drop wins."""

GAIN_FOR_RESCUE = 0.95
"""A structure that misses the accuracy budget is worth more work only if it would win clearly."""


def rejected_for_speed(ratio: Interval) -> str:
    """Why a variant is slower than fp32 beyond doubt; empty when it may not be."""
    if ratio.low is None or ratio.low <= 1.0:
        return ""
    return f"slower than fp32: {_times(ratio)}"


def not_faster(ratio: Interval, objective: Objective) -> str:
    """Why a finalist cannot be chosen for its speed; empty when it can."""
    if objective == "latency" and (ratio.high is None or ratio.high >= 1.0):
        return f"not shown to be faster than fp32: {_times(ratio)}"
    if ratio.value > 1.0:
        return f"slower than fp32: {_times(ratio)}"
    return ""


def not_frugal(energy: Interval | None) -> str:
    """Why a finalist cannot be chosen for its energy; empty when it can.

    >>> not_frugal(Interval(0.97, 0.9, 1.05))
    'not shown to use less energy than fp32: 0.97 times as much (0.90 to 1.05)'
    """
    if energy is None:
        return "its energy was not measured"
    if energy.high is None or energy.high >= 1.0:
        return f"not shown to use less energy than fp32: {_bounded(energy, 'times as much')}"
    return ""


def rejected_for_drop(drop: Drop, max_drop: float, *, rows: int, where: str) -> str:
    """Why a variant's point estimate on the select set is out of budget; empty when it is not."""
    if drop.value <= max_drop:
        return ""
    return (
        f"the metric falls by {drop.value:.2f} points on {rows} {where} samples, "
        f"{max_drop:g} are allowed"
    )


def rejected_for_bound(drop: Drop, max_drop: float, *, rows: int, least: float | None) -> str:
    """Why the confirm set does not prove that the budget holds; empty when it does."""
    if drop.upper <= max_drop:
        return ""
    reason = (
        f"a drop above the budget is not excluded: {drop.value:.2f} points on {rows} confirm "
        f"samples, 95 % bound {drop.upper:.2f}, {max_drop:g} are allowed"
    )
    if least is not None and least > max_drop:
        reason += f"; {rows} samples cannot prove less than {least:.2f}, give more of them"
    return reason


def by_objective(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """Best first. Within `TIE` of each other, the one whose metric fell less goes first."""
    ordered = sorted(trials, key=lambda trial: (_cost(trial, objective), trial.name))
    result: list[Trial] = []
    while ordered:
        limit = _cost(ordered[0], objective) * (1 + (TIE if objective != "size" else 0.0))
        tied = [trial for trial in ordered if _cost(trial, objective) <= limit]
        first = min(tied, key=lambda trial: (_drop(trial), _cost(trial, objective)))
        result.append(first)
        ordered.remove(first)
    return result


def shortlist(
    ordered: Sequence[Trial], count: int, max_drop: float, *, confirm_rows: int
) -> tuple[list[Trial], list[Trial]]:
    """Who takes the few places, and who is left. Half of the places go by the objective alone. Each
    of the others goes to the best of those that would keep the budget on the confirm set if the
    drop stayed as it is, with more slack at each place: the fastest often miss it by a little, all
    for the same reason, and would leave nothing to choose.
    """
    queue, rest = list(ordered[: count // 2]), list(ordered[count // 2 :])
    asked = count - len(queue)
    for place in range(asked):
        limit = max_drop * (1 - place / (asked + 1))
        likely = [one for one in rest if _expected_upper(one, confirm_rows) <= limit]
        for one in (likely or rest)[:1]:
            queue.append(one)
            rest.remove(one)
    return queue, rest


def _expected_upper(trial: Trial, confirm_rows: int) -> float:
    """The bound that the confirm set would give if the drop stayed as it is on what was scored."""
    if trial.drop is None or not trial.rows:
        return math.inf
    slack = trial.drop.upper - trial.drop.value
    return trial.drop.value + slack * math.sqrt(trial.rows / confirm_rows)


def loses_to(trial: Trial, winner: Trial, objective: Objective) -> str:
    """Why a variant that fits was not chosen."""
    ours, theirs = _cost(trial, objective), _cost(winner, objective)
    what = {"latency": "p50 over fp32", "size": "bytes", "energy": "energy over fp32"}[objective]
    if ours <= theirs * (1 + TIE):
        return f"as good as the chosen one ({what} {ours:.4g} against {theirs:.4g}), not better"
    return f"{what} is {ours:.4g}, the chosen one has {theirs:.4g}"


def _cost(trial: Trial, objective: Objective) -> float:
    if objective == "size":
        return float(trial.size_bytes)
    if objective == "energy" and trial.energy_ratio is not None:
        return trial.energy_ratio.value
    return trial.ratio.value if trial.ratio else 1.0


def _drop(trial: Trial) -> float:
    return trial.drop.value if trial.drop else 0.0


def _times(ratio: Interval) -> str:
    return _bounded(ratio, "times its p50")


def _bounded(ratio: Interval, what: str) -> str:
    low = "?" if ratio.low is None else f"{ratio.low:.2f}"
    high = "?" if ratio.high is None else f"{ratio.high:.2f}"
    return f"{ratio.value:.2f} {what} ({low} to {high})"
