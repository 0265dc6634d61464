"""Two reports side by side: what changed beyond what chance and the machine explain.

Two runs at different times differ by more than the samples within one run do. `BETWEEN_RUNS` is
what is allowed for that; it is added to both intervals, so a smaller change is called unclear, and
the smallest change that can be seen is stated.
"""

import math
from typing import Literal

import msgspec

from edgewright.contract import Evidence
from edgewright.errors import InputError
from edgewright.validate.report import Report

BETWEEN_RUNS = 0.05

Direction = Literal["better", "worse", "unclear", "same"]

_LOWER_IS_BETTER = (
    "latency p50",
    "latency p90",
    "latency p95",
    "latency p99",
    "server cpu per request",
    "server memory peak",
    "start to first right answer",
)
_HIGHER_IS_BETTER = ("throughput", "peak rate")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both reports. `ratio` is after over before; `detectable` is the smallest ratio
    away from 1 that these two runs could have shown.
    """

    name: str
    unit: str
    before: float
    after: float
    ratio: float
    ratio_low: float
    ratio_high: float
    detectable: float
    direction: Direction


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """All changes, and what makes the two reports hard to compare."""

    before: str
    after: str
    changes: tuple[Change, ...]
    doubts: tuple[str, ...]

    @property
    def is_worse(self) -> bool:
        """Whether something got worse beyond doubt, and the comparison is sound."""
        return not self.doubts and any(change.direction == "worse" for change in self.changes)


def compare_reports(before: Report, after: Report) -> Difference:
    """What changed from one report to the other.

    Raises:
        InputError: they are of different scenarios.
    """
    if before.scenario != after.scenario:
        raise InputError(
            f"one report is of scenario {before.scenario}, the other of {after.scenario}",
            hint="compare like with like",
        )
    changes = []
    for name in (*_LOWER_IS_BETTER, *_HIGHER_IS_BETTER):
        old, new = before.figure(name), after.figure(name)
        if old is not None and new is not None and old.value > 0 and new.value > 0:
            changes.append(_change(old, new))
    return Difference(
        before=f"{before.subject}, {before.started}",
        after=f"{after.subject}, {after.started}",
        changes=tuple(changes),
        doubts=_doubts(before, after),
    )


def _change(old: Evidence, new: Evidence) -> Change:
    spread = math.hypot(_log_spread(old), _log_spread(new), math.log1p(BETWEEN_RUNS))
    ratio = new.value / old.value
    low, high = ratio * math.exp(-spread), ratio * math.exp(spread)
    return Change(
        name=new.name,
        unit=new.unit,
        before=old.value,
        after=new.value,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        detectable=math.exp(spread),
        direction=_direction(new.name, low, high),
    )


def _log_spread(figure: Evidence) -> float:
    """Half the interval as a ratio; an unbounded side counts as the bounded one does."""
    sides = [
        abs(math.log(bound / figure.value))
        for bound in (figure.low, figure.high)
        if bound is not None and bound > 0
    ]
    return max(sides, default=0.0)


def _direction(name: str, low: float, high: float) -> Direction:
    if low <= 1.0 <= high:
        return "unclear" if high / low > 1.25 else "same"
    is_up = low > 1.0
    return "worse" if is_up == (name in _LOWER_IS_BETTER) else "better"


def _doubts(before: Report, after: Report) -> tuple[str, ...]:
    doubts = [
        f"the {which} report is INVALID: {'; '.join(report.verdict.reasons)}"
        for which, report in (("first", before), ("second", after))
        if report.verdict.outcome == "INVALID"
    ]
    if before.machine != after.machine:
        doubts.append("the reports come from different machines")
    if before.model != after.model:
        doubts.append(f"the models differ: {before.model}, {after.model}")
    return tuple(doubts)
