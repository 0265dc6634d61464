"""Is what a sensor says now still what the model was trained on, and if not, what broke?

Numpy only and in constant memory, so that a device answers by itself. The reference is a density
over features of training windows with limits taken from its own people (`drift.reference`); the
monitor tries to undo each nameable fault on the newest windows (`drift.causes`) and names the one
that makes them normal again, with its size and evidence. All files but `drift.files` are pure.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> def walk(rows):
    ...     phase = rng.uniform(0, 6, (rows, 1, 1)) + np.arange(20)[:, None] * [0.5, 1.0]
    ...     return np.sin(phase) * [1.0, 3.0] + [0.0, 9.8] + rng.normal(0, 0.1, (rows, 20, 2))
    >>> reference = build_reference(walk(600), channels=("ax", "ay"), rng=rng)
    >>> monitor = DriftMonitor(reference)
    >>> monitor.push(walk(160))
    >>> monitor.finding.cause
    ''
    >>> monitor = DriftMonitor(reference)
    >>> monitor.push(walk(160) + [0.0, 1.5])
    >>> monitor.finding.cause, monitor.finding.channels
    ('bias', (1,))
"""

from edgewright.device.drift.causes import Fault
from edgewright.device.drift.monitor import DriftMonitor
from edgewright.device.drift.reference import Limits, Reference, build_reference
from edgewright.device.drift.sketch import ChannelSketch, shift_of
from edgewright.device.drift.verdicts import Cause, Finding, channel_scores, judge

__all__ = [
    "Cause",
    "ChannelSketch",
    "DriftMonitor",
    "Fault",
    "Finding",
    "Limits",
    "Reference",
    "build_reference",
    "channel_scores",
    "judge",
    "shift_of",
]
