"""Early stopping: a run ends when what was seen decides about the latency limit, one way or the
other, so that a server far from its limit need not be loaded for the whole time.

Looking often and stopping at the first good look would make a 95 % interval a lie. So a run is
looked at a few times that are fixed beforehand, its end included, and every look's interval is so
much wider that all of them together err in 5 % of runs at most (Bonferroni's bound). A request
without an answer yet counts as slower than any limit where the limit is to be kept, and with the
time that it has waited where it is to be missed.
"""

import numpy as np

from edgewright.evidence.intervals import design_effect, quantile_interval
from edgewright.measure.load_result import PENDING, REFUSED, Floats, LoadResult

LOOKS = (0.25, 0.5, 0.75)
"""Shares of the run after which it is looked at; its end is one more look."""
CONFIDENCE = 1 - 0.05 / (len(LOOKS) + 1)

_Q = 0.95
_NEVER_S = 1e9
_BLOCKS = 40


def is_decided(result: LoadResult, *, now_s: float, limit_ms: float) -> bool:
    """Whether the p95 so far is on one side of the limit with its whole interval."""
    counts = result.states != REFUSED
    is_open = (result.states == PENDING)[counts]
    latencies_s = (result.done_s - result.scheduled_s)[counts]
    waited_s = now_s - result.scheduled_s[counts]
    if not len(latencies_s):
        return False
    high_ms = _bound_ms(np.where(is_open, _NEVER_S, latencies_s), is_upper=True)
    low_ms = _bound_ms(np.where(is_open, waited_s, latencies_s), is_upper=False)
    is_kept = high_ms is not None and high_ms <= limit_ms
    return is_kept or (low_ms is not None and low_ms > limit_ms)


def _bound_ms(latencies_s: Floats, *, is_upper: bool) -> float | None:
    milliseconds = 1e3 * latencies_s
    effect = design_effect(milliseconds, _Q, blocks=_BLOCKS)
    found = quantile_interval(milliseconds, _Q, confidence=CONFIDENCE, design_effect=effect)
    return found.high if is_upper else found.low
