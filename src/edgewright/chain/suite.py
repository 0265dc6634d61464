"""Several scenarios against one subject, one server for all of them: `--quick`, `--full`, and those
of a suite file.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from edgewright.chain.validation import (
    Accuracy,
    Subject,
    ValidationOrder,
    subject_of,
    validate_subject,
)
from edgewright.contract import Budgets, Contract
from edgewright.errors import InputError
from edgewright.validate import Report, ScenarioName
from edgewright.validate.report import LeftOut, SuiteReport, outcome_of

Scenes = Sequence[tuple[ScenarioName, float]]

QUICK: Scenes = (("single-stream", 3.0), ("server", 8.0), ("offline", 3.0))
"""Under 20 s: enough for the limits of the contract on a quiet machine. Answers to an open loop
come in good and bad stretches, so half as long often leaves the p95 undecided.
"""

FULL: Scenes = (
    ("single-stream", 15.0),
    ("multi-stream", 10.0),
    ("server", 20.0),
    ("stream", 10.0),
    ("offline", 10.0),
    ("find-peak", 20.0),
    ("cold-start", 8.0),
    ("swap", 28.0),
    ("faults", 18.0),
    ("soak", 60.0),
)
"""Under 5 minutes: a noisy run is repeated only while there is time for it."""

_FULL_S = 270.0
_STARTS = 1.2


def run_suite(
    asked: ValidationOrder,
    *,
    is_quick: bool,
    on_scene: Callable[[str, float], None] = lambda _name, _share: None,
) -> SuiteReport:
    """All scenarios that this subject can be put through; after Ctrl-C those until then.

    Raises:
        EdgewrightError: as `run_validation`.
    """
    scenes = QUICK if is_quick else FULL
    start_s = time.monotonic()
    reports: list[Report] = []
    left_out: list[LeftOut] = []
    total_s = sum(seconds for _, seconds in scenes)
    done_s = 0.0
    with subject_of(asked) as subject:
        for scenario, seconds in scenes:
            on_scene(scenario, done_s / total_s)
            done_s += seconds
            reason = obstacle(scenario, asked, subject)
            if reason:
                left_out.append(LeftOut(scenario=scenario, reason=reason))
                continue
            left_s = _STARTS * (total_s - done_s + 2 * seconds)
            has_time = not is_quick and time.monotonic() - start_s + left_s < _FULL_S
            attempts = min(asked.attempts, 2 if has_time else 1)
            order = msgspec.structs.replace(
                asked, scenario=scenario, seconds=seconds, attempts=attempts
            )
            reports.append(_validated(order, subject, is_first=not reports))
            if reports[-1].is_partial:
                break
    return _together(reports, start_s, left_out)


def run_scenes(orders: Sequence[ValidationOrder]) -> SuiteReport:
    """Exactly these, one after the other, on one server; after Ctrl-C those until then. They are
    orders for one target.

    Raises:
        InputError: one of them cannot be done to this target; nothing was measured then.
        EdgewrightError: as `run_validation`.
    """
    start_s = time.monotonic()
    reports: list[Report] = []
    with subject_of(orders[0]) as subject:
        for number, order in enumerate(orders, start=1):
            if reason := obstacle(order.scenario, order, subject):
                raise InputError(
                    f"scenario {number} of the suite, {order.scenario}, cannot be done: {reason}",
                    hint="mend it in the suite file, or take it out",
                )
        for order in orders:
            reports.append(_validated(order, subject, is_first=not reports))
            if reports[-1].is_partial:
                break
    return _together(reports, start_s)


def _validated(order: ValidationOrder, subject: Subject, *, is_first: bool) -> Report:
    """Labels are looked at once: load makes no answer another one."""
    if not is_first:
        order = msgspec.structs.replace(order, accuracy=Accuracy())
    return validate_subject(order, subject)


def _together(
    reports: Sequence[Report], start_s: float, left_out: Sequence[LeftOut] = ()
) -> SuiteReport:
    return SuiteReport(
        outcome=outcome_of(reports),
        seconds=time.monotonic() - start_s,
        reports=tuple(reports),
        left_out=tuple(left_out),
    )


def obstacle(scenario: str, asked: ValidationOrder, subject: Subject) -> str:
    """Why a subject cannot be put through a scenario; empty when it can."""
    contract = subject.bundle.manifest.contract if subject.bundle else None
    budgets = contract.budgets if contract else Budgets()
    has_rate = (asked.rate_rps or budgets.throughput_rps) is not None
    needs = {
        "server": (has_rate, "no rate: give --rps"),
        "soak": (has_rate, "no rate: give --rps"),
        "stream": (_has_sensor(contract), "the contract names no sensor rate"),
        "find-peak": (
            (asked.p95_ms or budgets.latency_p95_ms) is not None,
            "no limit to search for: give --p95-ms",
        ),
        "cold-start": (subject.launch is not None, "the server runs already: give the bundle"),
        "swap": (
            subject.served.admin is not None,
            "no administrator's socket: name it in a suite file, [server] admin",
        ),
        "faults": (asked.way.connect is None, "it speaks HTTP only"),
        "replay": (asked.recording is not None, "no recorded traffic: name it in [load] recording"),
    }
    is_possible, reason = needs.get(scenario, (True, ""))
    return "" if is_possible else reason


def _has_sensor(contract: Contract | None) -> bool:
    return contract is not None and contract.rate_hz is not None
