"""The evidence of the latest windows, in constant memory: means over blocks, the oldest dropped.
Pure.

The same class runs over the reference's own groups when limits are set and over a device's stream
when it is judged, so that the two are comparable.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from edgewright.device.drift.causes import Fault
from edgewright.device.drift.features import Array

BLOCK_WINDOWS = 16
LEVELS = (4, 6, 8, 12, 16, 24, 32)
"""So many of the latest blocks are judged together; much of a short stretch may be one posture, so
each level has limits of its own.
"""
_MOST_NATS = 8.0
"""No window says more than that for or against a fault; it is approached smoothly, so that the best
size of a gross fault still stands out.
"""
_TRIM_SHARE = 0.25
"""The blocks that speak loudest for a fault are left out: a fault shows in most of a stream."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the latest blocks say: `gain` [faults] in nats a window for the best size of each fault,
    at position `best` among its sizes; the share of odd windows as they are and with each fault
    undone.
    """

    windows: int
    gain: Array
    best: Array
    odd: float
    odd_undone: Array


class Horizon:
    """The latest blocks of `BLOCK_WINDOWS` windows each."""

    def __init__(self, faults: Sequence[Fault], *, odd_below: float) -> None:
        sizes = [len(fault.sizes) for fault in faults]
        self._bounds = list(pairwise(np.concatenate([[0], np.cumsum(sizes)]).tolist()))
        self._odd_below = odd_below
        self._gains = np.zeros((LEVELS[-1], sum(sizes)))
        self._odd_undone = np.zeros((LEVELS[-1], sum(sizes)))
        self._odd = np.zeros(LEVELS[-1])
        self.blocks = 0

    def add(self, alone: Array, undone: Array) -> None:
        """One block: log likelihoods as they are [block] and undone [block, columns]."""
        place = self.blocks % LEVELS[-1]
        gains = undone - alone[:, None]
        self._gains[place] = (gains / (1 + np.abs(gains) / _MOST_NATS)).mean(axis=0)
        self._odd_undone[place] = (undone < self._odd_below).mean(axis=0)
        self._odd[place] = (alone < self._odd_below).mean()
        self.blocks += 1

    @property
    def levels(self) -> int:
        """How many of the levels are filled."""
        return sum(level <= self.blocks for level in LEVELS)

    def evidence(self, level: int) -> Evidence:
        """What the latest `LEVELS[level]` blocks say together."""
        blocks = LEVELS[level]
        places = np.arange(self.blocks - blocks, self.blocks) % LEVELS[-1]
        quiet = blocks - int(blocks * _TRIM_SHARE)
        gains = np.partition(self._gains[places], quiet - 1, axis=0)[:quiet].mean(axis=0)
        best = np.array([start + int(gains[start:stop].argmax()) for start, stop in self._bounds])
        return Evidence(
            windows=blocks * BLOCK_WINDOWS,
            gain=gains[best],
            best=best - np.array([start for start, _ in self._bounds]),
            odd=float(np.sort(self._odd[places])[:quiet].mean()),
            odd_undone=self._odd_undone[places].mean(axis=0)[best],
        )
