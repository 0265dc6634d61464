"""Two reports side by side: what changed beyond what chance and the machine explain.

Two runs at different times differ by more than the samples within one run do. `BETWEEN_RUNS` is
what is allowed for that; it is added to both intervals, so a smaller change is called unclear, and
the smallest change that can be seen is stated. Answers do not change from run to run: a limit that
was kept and is missed now is a loss, and noise excuses no wrong answer.

Reports of whole suites are compared scenario by scenario.
"""

import math
import re
from collections import defaultdict
from typing import Literal

import msgspec

from edgewright.contract import Evidence
from edgewright.errors import InputError
from edgewright.evidence import Gate
from edgewright.validate.gates import SERVERS_ENDED
from edgewright.validate.report import Report, SuiteReport
from edgewright.validate.scenarios import STEADY

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
_HIGHER_IS_BETTER = ("throughput", "peak rate", "accuracy")
_OF_ANSWERS = ("accuracy",)
"""What no machine changes: the same rows get the same answers in every run."""

_TIME_AND_SEED = re.compile(r", [\d.e+]+ s, seed \d+")
"""How long a load lasted and what it was drawn with: other runs of the same load."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both reports. `ratio` is after over before; `detectable` is the smallest ratio
    away from 1 that these two runs could have shown.
    """

    scenario: str
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
    """All changes, the limits that were kept before and are missed now (`losses`), and what makes
    the reports hard to compare.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    losses: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def is_worse(self) -> bool:
        """Whether something got worse beyond doubt. Nothing does in a pair that is not sound,
        except by a loss.
        """
        return bool(self.losses) or any(change.direction == "worse" for change in self.changes)


class _Pair(msgspec.Struct, frozen=True):
    """The same scenario of both, and what stands against comparing them."""

    before: Report
    after: Report
    doubts: tuple[str, ...]


def compare_reports(before: Report | SuiteReport, after: Report | SuiteReport) -> Difference:
    """What changed from one report to the other.

    Raises:
        InputError: they have no scenario in common.
    """
    pairs, alone = _paired(before, after)
    if not pairs:
        raise InputError(
            f"one report is of scenario {_names(before)}, the other of {_names(after)}",
            hint="compare like with like",
        )
    has_many = len(pairs) > 1
    return Difference(
        before=_title(pairs[0].before),
        after=_title(pairs[0].after),
        changes=tuple(change for pair in pairs for change in _changes(pair)),
        losses=tuple(
            f"{pair.after.scenario}: {one}" if has_many else one
            for pair in pairs
            for one in _losses(pair)
        ),
        doubts=alone
        + tuple(
            f"{pair.after.scenario}: {doubt}" if has_many else doubt
            for pair in pairs
            for doubt in pair.doubts
        ),
    )


def _title(report: Report) -> str:
    return f"{report.subject}, {report.started}"


def _names(report: Report | SuiteReport) -> str:
    return ", ".join(one.scenario for one in report.all_reports)


def _paired(
    before: Report | SuiteReport, after: Report | SuiteReport
) -> tuple[list[_Pair], tuple[str, ...]]:
    """Each scenario with its like, the second of a name with the second, and what has no like."""
    olds: dict[str, list[Report]] = defaultdict(list)
    for old in before.all_reports:
        olds[old.scenario].append(old)
    pairs, alone = [], []
    for new in after.all_reports:
        if olds[new.scenario]:
            old = olds[new.scenario].pop(0)
            pairs.append(_Pair(old, new, _doubts(old, new)))
        else:
            alone.append(f"scenario {new.scenario} is in the second report only")
    alone += [
        f"scenario {name} is in the first report only" for name, left in olds.items() for _ in left
    ]
    return pairs, tuple(alone)


def _changes(pair: _Pair) -> list[Change]:
    changes = []
    for name in (*_LOWER_IS_BETTER, *_HIGHER_IS_BETTER):
        old, new = pair.before.figure(name), pair.after.figure(name)
        if old is not None and new is not None and old.value > 0 and new.value > 0:
            changes.append(_change(old, new, pair))
    return changes


def _change(old: Evidence, new: Evidence, pair: _Pair) -> Change:
    between = 0.0 if new.name in _OF_ANSWERS else math.log1p(BETWEEN_RUNS)
    spread = math.hypot(_log_spread(old), _log_spread(new), between)
    ratio = new.value / old.value
    low, high = ratio * math.exp(-spread), ratio * math.exp(spread)
    return Change(
        scenario=pair.after.scenario,
        name=new.name,
        unit=new.unit,
        before=old.value,
        after=new.value,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        detectable=math.exp(spread),
        direction="unclear" if pair.doubts else _direction(new.name, low, high),
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


def _losses(pair: _Pair) -> list[str]:
    """Limits that the second run missed beyond doubt and the first kept; those of time count only
    where nothing is doubted.
    """
    kept = {gate.name: gate.limit for gate in pair.before.verdict.gates if gate.ok}
    missed = {gate.name for gate in pair.before.verdict.gates if not gate.ok}
    return [
        gate.sentence()
        for gate in pair.after.verdict.gates
        if gate.has_failed
        and (not gate.timed or not pair.doubts)
        and (_was_kept(gate, kept) or (gate.name == SERVERS_ENDED and gate.name not in missed))
    ]


def _was_kept(gate: Gate, kept: dict[str, float]) -> bool:
    """Under the same limit: a stricter one says nothing about the version."""
    return kept.get(gate.name) == gate.limit


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
    if before.answers.is_compared and not after.answers.is_compared:
        doubts.append("the first run knew the right answers, the second looked at form only")
    loads = [_load_of(report) for report in (before, after)]
    if None not in loads and loads[0] != loads[1]:
        doubts.append(f"the loads differ: {loads[0]} | {loads[1]}")
    return tuple(doubts)


def _load_of(report: Report) -> str | None:
    """How a steady load was put on, by the words of its evidence."""
    figure = report.figure("latency p50")
    if figure is None or report.scenario not in STEADY:
        return None
    return _TIME_AND_SEED.sub("", figure.how)
