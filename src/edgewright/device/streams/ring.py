"""Windows of even samples, one every `hop`, from a ring that holds one window.

A new stretch empties the ring: a window never holds samples from both sides of a gap.
"""

import msgspec
import numpy as np

from edgewright.device.streams.base import Array
from edgewright.device.streams.resampler import Stretch


class Window(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """`values` [length, channels]; the first was taken at `start_s`, the last at `end_s`."""

    start_s: float
    end_s: float
    values: Array


class Ring:
    """The last `length` even samples."""

    def __init__(self, *, length: int, hop: int, channels: int, rate_hz: float) -> None:
        self._length = length
        self._hop = hop
        self._rate_hz = rate_hz
        self._buffer = np.empty((length, channels))
        self._count = 0
        self._start_s = 0.0
        self.flushed = 0

    def push(self, stretch: Stretch) -> list[Window]:
        """The windows that are full now."""
        if stretch.is_new:
            self.flushed += self._count > 0
            self._count, self._start_s = 0, stretch.start_s
        windows = []
        samples = stretch.samples
        while len(samples):
            taken = samples[: self._until_next()]
            self._write(taken)
            samples = samples[len(taken) :]
            if self._is_due():
                windows.append(self._window())
        return windows

    def _until_next(self) -> int:
        """How many samples are missing for the next window."""
        if self._count < self._length:
            return self._length - self._count
        return self._hop - (self._count - self._length) % self._hop

    def _is_due(self) -> bool:
        return self._count >= self._length and (self._count - self._length) % self._hop == 0

    def _write(self, samples: Array) -> None:
        places = np.arange(self._count, self._count + len(samples)) % self._length
        kept = slice(max(len(samples) - self._length, 0), None)
        self._buffer[places[kept]] = samples[kept]
        self._count += len(samples)

    def _window(self) -> Window:
        first = self._count - self._length
        order = np.arange(first, self._count) % self._length
        return Window(
            start_s=self._start_s + first / self._rate_hz,
            end_s=self._start_s + (self._count - 1) / self._rate_hz,
            values=self._buffer[order],
        )
