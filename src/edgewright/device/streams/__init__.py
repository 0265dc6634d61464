"""Samples of a sensor to windows, windows to answers, answers to what is held to be true.

No sample is invented: a gap, a clock that steps back or a value that is not a number is never
filled, windows lie on one side of it, and a window that is out of contract has a reason instead of
an answer. Memory does not grow with the stream. A source, a sink and the model are ports
(`streams.base`), each backend one file beside it.

    >>> import numpy as np
    >>> from edgewright.device.streams.base import Samples
    >>> resampler, ring = Resampler(rate_hz=10, max_gap_s=0.5), Ring(
    ...     length=4, hop=2, channels=1, rate_hz=10
    ... )
    >>> time_s = np.array([0.0, 0.11, 0.19, 0.3, 0.41, 0.5])
    >>> stretches = resampler.push(Samples(time_s=time_s, values=time_s[:, None] * 2))
    >>> [w.values.round(3).ravel().tolist() for s in stretches for w in ring.push(s)]
    [[0.0, 0.2, 0.4, 0.6], [0.4, 0.6, 0.8, 1.0]]
"""

from edgewright.device.streams.base import Predictor, Result, Samples, Sink, Source
from edgewright.device.streams.debounce import Held, Rule, advance
from edgewright.device.streams.plan import Plan, Wishes, plan_stream
from edgewright.device.streams.resampler import Resampler
from edgewright.device.streams.ring import Ring, Window
from edgewright.device.streams.run import Stream, Summary, run_stream

__all__ = [
    "Held",
    "Plan",
    "Predictor",
    "Resampler",
    "Result",
    "Ring",
    "Rule",
    "Samples",
    "Sink",
    "Source",
    "Stream",
    "Summary",
    "Window",
    "Wishes",
    "advance",
    "plan_stream",
    "run_stream",
]
