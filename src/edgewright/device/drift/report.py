"""What a watched stream looked like, for people and programs. Pure."""

from typing import Literal

import msgspec
import numpy as np

from edgewright.device.drift.monitor import DriftMonitor
from edgewright.device.drift.reference import Reference
from edgewright.device.drift.sketch import shift_of
from edgewright.device.drift.verdicts import channel_scores

_UNITS = {"gain": "times", "rate": "times", "bias": "in the channel's unit"}


class ChannelReport(msgspec.Struct, frozen=True, kw_only=True):
    """One channel: its verdict, and what it looks like beside the reference. `score` is the largest
    of the faults of this channel alone, 1 is the limit; `shift` is the population stability index
    (what people did moves it as well, so it is shown and not judged).
    """

    name: str
    verdict: Literal["ok", "drift"]
    cause: str
    score: float
    mean: float
    std: float
    median: float
    reference_mean: float
    reference_std: float
    reference_median: float
    shift: float


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict over a stream and the evidence for it."""

    verdict: Literal["ok", "drift"]
    cause: str
    channels_at_fault: tuple[str, ...]
    size: float | None
    size_unit: str
    evidence: str
    score: float
    since_window: int | None
    windows: int
    windows_dropped: int
    false_alarm_bound: float
    reference_windows: int
    reference_groups: int
    reference_is_grouped: bool
    channels: tuple[ChannelReport, ...]


def report_of(monitor: DriftMonitor, reference: Reference, *, dropped: int = 0) -> DriftReport:
    """The report at the end of a stream that was long enough."""
    finding = monitor.finding
    return DriftReport(
        verdict="drift" if finding.cause else "ok",
        cause=finding.cause,
        channels_at_fault=tuple(reference.channels[c] for c in finding.channels),
        size=finding.size,
        size_unit=_UNITS.get(finding.cause, ""),
        evidence=_evidence(monitor),
        score=monitor.score,
        since_window=monitor.alarm_since,
        windows=monitor.windows,
        windows_dropped=dropped,
        false_alarm_bound=reference.limits.false_alarm,
        reference_windows=reference.windows,
        reference_groups=reference.groups,
        reference_is_grouped=reference.is_grouped,
        channels=_channel_reports(monitor, reference),
    )


def _evidence(monitor: DriftMonitor) -> str:
    finding = monitor.finding
    if not finding.cause:
        return f"no fault comes nearer than {monitor.score:.0%} of its limit"
    measured = f"{finding.score:.3g} {finding.score_unit}, the limit is {finding.limit:.3g}"
    if finding.cause == "stuck":
        return f"the same number for half a window or more in {measured}"
    if finding.cause == "new class":
        return f"unlike anything in the reference, and no fault explains it: {measured}"
    return (
        f"undoing it explains {measured} (last {finding.windows} windows); "
        f"odd windows {finding.odd:.0%}, with it undone {finding.undone_odd or 0.0:.0%}"
    )


def _channel_reports(monitor: DriftMonitor, reference: Reference) -> tuple[ChannelReport, ...]:
    finding, now, then = monitor.finding, monitor.sketch, reference.sketch
    scores = channel_scores(monitor.evidence(), reference.limits, reference.faults)
    shifts = shift_of(then, now)
    medians = np.stack([now.quantile(0.5), then.quantile(0.5)])
    return tuple(
        ChannelReport(
            name=name,
            verdict="drift" if c in finding.channels else "ok",
            cause=finding.cause if c in finding.channels else "",
            score=float(scores[c]),
            mean=float(now.mean[c]),
            std=float(now.std[c]),
            median=float(medians[0, c]),
            reference_mean=float(then.mean[c]),
            reference_std=float(then.std[c]),
            reference_median=float(medians[1, c]),
            shift=float(shifts[c]),
        )
        for c, name in enumerate(reference.channels)
    )
