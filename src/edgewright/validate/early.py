"""Early stopping: a run ends when what was seen decides about its limit, so that a server far from
it need not be loaded for the whole time.

Looking often and stopping at the first good look would make a 95 % interval a lie. So a run is
looked at a few times that are fixed beforehand, its end included, and every look's interval is so
much wider that all of them together err in 5 % of runs at most (Bonferroni's bound). A request
without an answer yet counts as slower than any limit where the limit is to be kept, and with the
time that it has waited where it is to be missed.

A prefix must speak for the whole. So a steady load may end either way; a soak only when it has been
missed, since a leak may begin late; and a rate of the search for a peak only when it was missed,
since beyond the capacity a queue grows and a short look is too kind. A replay, whose traffic
changes, swaps, faults and cold starts, whose number is their point, run to their end.
"""

from typing import Literal

import numpy as np

from edgewright.evidence import Interval
from edgewright.evidence.intervals import design_effect, quantile_interval
from edgewright.measure.load_result import PENDING, REFUSED, Floats, LoadResult
from edgewright.validate.order import Order

LOOKS = (0.25, 0.5, 0.75)
"""Shares of the run after which it is looked at; its end is one more look."""
CONFIDENCE = 1 - 0.05 / (len(LOOKS) + 1)

Side = Literal["kept", "missed", "open"]
Rule = Literal["latency", "throughput", "growth"]
"""Which limit decides."""

_Q = 0.95
_NEVER_S = 1e9
_BLOCKS = 40


def rule_of(order: Order) -> Rule | None:
    """What may end a steady run early; None when nothing may, or there is no limit to decide."""
    if not order.stops_early:
        return None
    if order.scenario == "soak":
        return "growth"
    if order.scenario == "offline":
        return "throughput" if order.budgets.throughput_rps is not None else None
    return "latency" if order.budgets.latency_p95_ms is not None else None


def latency_side(result: LoadResult, *, now_s: float, limit_ms: float) -> Side:
    """On which side of the limit the p95 so far lies with its whole interval."""
    counts = result.states != REFUSED
    is_open = (result.states == PENDING)[counts]
    latencies_s = (result.done_s - result.scheduled_s)[counts]
    waited_s = now_s - result.scheduled_s[counts]
    if not len(latencies_s):
        return "open"
    high_ms = _bound_ms(np.where(is_open, _NEVER_S, latencies_s), is_upper=True)
    if high_ms is not None and high_ms <= limit_ms:
        return "kept"
    low_ms = _bound_ms(np.where(is_open, waited_s, latencies_s), is_upper=False)
    return "missed" if low_ms is not None and low_ms > limit_ms else "open"


def throughput_side(seen: Interval, *, least_rps: float) -> Side:
    """On which side of what is asked for the throughput lies; its interval is of `CONFIDENCE`."""
    if seen.low is None or seen.high is None:
        return "open"
    if seen.low >= least_rps:
        return "kept"
    return "missed" if seen.high < least_rps else "open"


def is_leak(growth: Interval | None, *, most: float) -> bool:
    """Whether something grew faster than it may, beyond doubt; its interval is of `CONFIDENCE`."""
    return growth is not None and growth.low is not None and growth.low > most


def _bound_ms(latencies_s: Floats, *, is_upper: bool) -> float | None:
    milliseconds = 1e3 * latencies_s
    effect = design_effect(milliseconds, _Q, blocks=_BLOCKS)
    found = quantile_interval(milliseconds, _Q, confidence=CONFIDENCE, design_effect=effect)
    return found.high if is_upper else found.low
