"""The watch over one stream: windows in, a finding out, memory that does not grow. Pure."""

import numpy as np

from edgewright.device.drift.causes import explain
from edgewright.device.drift.features import Array, is_stuck, window_features
from edgewright.device.drift.horizon import BLOCK_WINDOWS, LEVELS, Evidence, Horizon
from edgewright.device.drift.reference import Reference
from edgewright.device.drift.sketch import ChannelSketch
from edgewright.device.drift.verdicts import Finding, judge, score_of
from edgewright.errors import InputError
from edgewright.evidence import RateWatch

_FARTHEST = 1e60
"""Larger values count as this: as odd as anything can be, and their squares stay finite."""


class DriftMonitor:
    """Judges after every block of `BLOCK_WINDOWS` windows.

    The alarm rises when a finding has held for `confirm` blocks in a row and falls when the score
    is below 0.8 of the limit.
    """

    def __init__(self, reference: Reference, *, confirm: int = 2) -> None:
        self._reference = reference
        self._faults = reference.faults
        self._horizon = Horizon(self._faults, odd_below=reference.odd_below)
        self._confirm = confirm
        self._waiting = np.empty((0, reference.length, len(reference.channels)))
        self._stuck = np.zeros((LEVELS[-1], len(reference.channels)), np.int64)
        self._over = 0
        self.sketch = ChannelSketch.empty(reference.sketch.edges)
        self.windows = 0
        self.finding = Finding(cause="")
        self.score = 0.0
        self.alarm_since: int | None = None

    def push(self, windows: Array) -> None:
        """Take windows [rows, length, channels] in their order in time.

        Raises:
            InputError: they are of another shape than the reference's, or not finite.
        """
        self._check(windows)
        waiting = np.concatenate([self._waiting, windows]).clip(-_FARTHEST, _FARTHEST)
        whole = len(waiting) - len(waiting) % BLOCK_WINDOWS
        self._waiting = waiting[whole:]
        if not whole:
            return
        reference, ready = self._reference, waiting[:whole]
        features = window_features(ready, reference.noise)
        alone, undone = explain(reference.mixture, features, self._faults)
        stuck = is_stuck(ready)
        self.sketch = self.sketch.add(ready.reshape(-1, ready.shape[2]))
        for at in range(0, whole, BLOCK_WINDOWS):
            block = slice(at, at + BLOCK_WINDOWS)
            self._stuck[self._horizon.blocks % LEVELS[-1]] = stuck[block].sum(axis=0)
            self._horizon.add(alone[block], undone[block])
            self.windows += BLOCK_WINDOWS
            if self.is_enough:
                self._decide()

    @property
    def is_enough(self) -> bool:
        """Whether the stream was long enough for a finding."""
        return self._horizon.levels > 0

    def evidence(self) -> list[Evidence]:
        """What the latest windows say, at each level that is filled."""
        return [self._horizon.evidence(level) for level in range(self._horizon.levels)]

    def _decide(self) -> None:
        evidence, stuck, limits = self.evidence(), self._stuck_shares(), self._reference.limits
        self.score = score_of(evidence, stuck, limits)
        self._over = self._over + 1 if self.score > 1 else 0
        if self._over >= self._confirm:
            self.finding = judge(evidence, stuck, limits, self._faults)
            if self.alarm_since is None:
                self.alarm_since = self.windows - self._over * BLOCK_WINDOWS
        elif self.score < 0.8:
            self.finding, self.alarm_since = Finding(cause="", odd=evidence[-1].odd), None

    def _stuck_shares(self) -> Array:
        """Share of stuck windows per channel, 0 where it may still be chance."""
        windows = min(self._horizon.blocks, LEVELS[-1]) * BLOCK_WINDOWS
        counts = self._stuck.sum(axis=0)
        shares = counts / windows
        for channel, limit in enumerate(self._reference.limits.stuck.tolist()):
            watch = RateWatch(limit_rate=limit, false_alarm=0.001)
            if watch.judge(events=int(counts[channel]), trials=windows) != "bad":
                shares[channel] = min(shares[channel], limit)
        return np.asarray(shares)

    def _check(self, windows: Array) -> None:
        expected = [self._reference.length, len(self._reference.channels)]
        if windows.ndim != 3 or list(windows.shape[1:]) != expected:
            raise InputError(
                f"windows have shape {list(windows.shape)}, the reference has "
                f"[rows, {expected[0]}, {expected[1]}]",
                hint="cut the stream like the reference",
            )
        if not np.isfinite(windows).all():
            row = int(np.flatnonzero(~np.isfinite(windows).all(axis=(1, 2)))[0])
            raise InputError(
                f"window {row} holds values that are not finite",
                hint="drop windows with missing samples",
            )
