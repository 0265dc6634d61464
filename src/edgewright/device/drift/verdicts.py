"""From evidence to a verdict that a maintenance engineer can act on. Pure.

The order of the questions: is a channel stuck (its windows say the same number)? Does undoing one
fault make the stream normal again, with fewer odd windows (the best such fault is the cause)? Are
windows odd and no fault explains them (a new class of signals)? Otherwise nothing drifts.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from edgewright.device.drift.causes import Fault
from edgewright.device.drift.features import Array
from edgewright.device.drift.horizon import Evidence
from edgewright.device.drift.reference import Limits

Cause = Literal["", "gain", "bias", "axis swap", "axis inverted", "rate", "stuck", "new class"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: the cause, where, how large, and the measured value that missed its limit.

    `size` is the factor of a gain or rate, or a bias in the channel's unit. `undone_odd` is the
    share of odd windows that is left when the fault is undone; `windows` how many were judged.
    """

    cause: Cause
    channels: tuple[int, ...] = ()
    size: float | None = None
    score: float = 0.0
    limit: float = 0.0
    score_unit: str = "nats a window"
    odd: float = 0.0
    undone_odd: float | None = None
    windows: int = 0


def judge(
    evidence: Sequence[Evidence], stuck: Array, limits: Limits, faults: Sequence[Fault]
) -> Finding:
    """The finding for a horizon: of the levels that miss a limit the longest has most to go on.
    `stuck` [channels] is the share of stuck windows, 0 where it may be chance.
    """
    if (stuck > limits.stuck).any():
        return _stuck_finding(stuck, limits.stuck, evidence[-1].odd)
    levels = range(len(evidence) - 1, -1, -1)
    for level in levels:
        is_over = evidence[level].gain > limits.gain[level]
        is_over &= _mends(evidence[level], float(limits.odd[level]))
        if is_over.any():
            return _fault_finding(evidence[level], limits.gain[level], faults, is_over)
    for level in levels:
        if evidence[level].odd > limits.odd[level]:
            return Finding(
                cause="new class",
                score=evidence[level].odd,
                limit=float(limits.odd[level]),
                score_unit="of the windows",
                odd=evidence[level].odd,
                windows=evidence[level].windows,
            )
    return Finding(cause="", odd=evidence[-1].odd)


def score_of(evidence: Sequence[Evidence], stuck: Array, limits: Limits) -> float:
    """How close the stream is to an alarm: 1 is the limit."""
    gains = [(e.gain / limit).max() for e, limit in zip(evidence, limits.gain, strict=False)]
    odds = [e.odd / limit for e, limit in zip(evidence, limits.odd, strict=False)]
    return max(0.0, *map(float, gains), *map(float, odds), float((stuck / limits.stuck).max()))


def channel_scores(evidence: Sequence[Evidence], limits: Limits, faults: Sequence[Fault]) -> Array:
    """For each channel the largest score of the faults of that channel alone, 1 is the limit."""
    scores = np.zeros(1 + max(max(fault.channels) for fault in faults))
    for each, limit in zip(evidence, limits.gain, strict=False):
        for fault, ratio in zip(faults, each.gain / limit, strict=True):
            if len(fault.channels) == 1:
                scores[fault.channels[0]] = max(scores[fault.channels[0]], ratio)
    return scores


def _stuck_finding(stuck: Array, limit: Array, odd: float) -> Finding:
    worst = int(np.argmax(stuck / limit))
    return Finding(
        cause="stuck",
        channels=tuple(int(channel) for channel in np.flatnonzero(stuck > limit)),
        score=float(stuck[worst]),
        limit=float(limit[worst]),
        score_unit="of the windows",
        odd=odd,
    )


def _mends(evidence: Evidence, limit: float) -> Array:
    """Which faults leave fewer odd windows when undone; one that does not is not what happened."""
    return np.asarray(evidence.odd_undone <= max(limit, evidence.odd))


def _fault_finding(
    evidence: Evidence, limit: Array, faults: Sequence[Fault], is_over: Array
) -> Finding:
    """Of the faults over their limits the one that explains most."""
    best = int(np.argmax(np.where(is_over, evidence.gain, -np.inf)))
    fault = faults[best]
    has_size = fault.kind in {"gain", "bias", "rate"}
    return Finding(
        cause=fault.kind,
        channels=fault.channels,
        size=fault.sizes[int(evidence.best[best])] if has_size else None,
        score=float(evidence.gain[best]),
        limit=float(limit[best]),
        odd=evidence.odd,
        undone_odd=float(evidence.odd_undone[best]),
        windows=evidence.windows,
    )
