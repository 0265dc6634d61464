"""What one channel looks like, in constant memory: count, mean, variance and quantiles. Pure.

Values are counted between the reference's own quantiles, so two sketches of one reference can be
merged and compared exactly, however many samples they saw.

    >>> reference = channel_edges(np.arange(1000.0)[:, None])
    >>> sketch = ChannelSketch.empty(reference)
    >>> sketch = sketch.add(np.arange(0.0, 1000.0, 10)[:, None])
    >>> round(float(sketch.mean[0])), round(float(sketch.quantile(0.5)[0]), -1)
    (495, 500.0)
"""

from typing import Self

import msgspec
import numpy as np

from edgewright.device.drift.features import Array

BINS = 64


def channel_edges(samples: Array) -> Array:
    """Bounds between bins [channels, BINS + 1] that hold equal shares of the samples [n,
    channels].
    """
    return np.quantile(np.asarray(samples, np.float64), np.linspace(0, 1, BINS + 1), axis=0).T


class ChannelSketch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sums over all samples so far; `counts` has a bin more on each side for what lies outside."""

    edges: Array
    count: int
    mean: Array
    squares: Array
    counts: Array
    lowest: Array
    highest: Array

    @classmethod
    def empty(cls, edges: Array) -> Self:
        """A sketch that saw nothing."""
        channels = len(edges)
        return cls(
            edges=edges,
            count=0,
            mean=np.zeros(channels),
            squares=np.zeros(channels),
            counts=np.zeros((channels, BINS + 2), np.int64),
            lowest=np.full(channels, np.inf),
            highest=np.full(channels, -np.inf),
        )

    def add(self, samples: Array) -> Self:
        """The sketch with more samples [n, channels]."""
        values = np.asarray(samples, np.float64)
        if not len(values):
            return self
        total = self.count + len(values)
        shift = values.mean(axis=0) - self.mean
        squares = self.squares + ((values - values.mean(axis=0)) ** 2).sum(axis=0)
        counts = self.counts.copy()
        for channel, bounds in enumerate(self.edges):
            # The last bound belongs to the last bin, as in a histogram.
            places = np.searchsorted(bounds, values[:, channel], side="right")
            places[values[:, channel] == bounds[-1]] = BINS
            counts[channel] += np.bincount(places, minlength=BINS + 2)
        return type(self)(
            edges=self.edges,
            count=total,
            mean=self.mean + shift * len(values) / total,
            squares=squares + shift**2 * self.count * len(values) / total,
            counts=counts,
            lowest=np.minimum(self.lowest, values.min(axis=0)),
            highest=np.maximum(self.highest, values.max(axis=0)),
        )

    @property
    def std(self) -> Array:
        """Standard deviation per channel."""
        return np.sqrt(self.squares / max(self.count, 1))

    def quantile(self, share: float) -> Array:
        """The value below which a share of the samples lies, exact to one bin."""
        return np.array(
            [self._channel_quantile(channel, share) for channel in range(len(self.edges))]
        )

    def _channel_quantile(self, channel: int, share: float) -> float:
        bounds = self.edges[channel]
        outer = [
            min(self.lowest[channel], bounds[0]),
            *bounds,
            max(self.highest[channel], bounds[-1]),
        ]
        reached = np.concatenate([[0], np.cumsum(self.counts[channel])]) / max(self.count, 1)
        place = int(np.clip(np.searchsorted(reached, share, side="left"), 1, BINS + 2))
        low, high = reached[place - 1], reached[place]
        inside = (share - low) / (high - low) if high > low else 0.0
        return float(outer[place - 1] + inside * (outer[place] - outer[place - 1]))


def shift_of(reference: ChannelSketch, current: ChannelSketch) -> Array:
    """Population stability index per channel between two sketches with the same edges; above 0.25
    is usually called a large shift.
    """
    shares = [
        (sketch.counts + 0.5) / (sketch.count + 0.5 * (BINS + 2)) for sketch in (reference, current)
    ]
    return np.asarray(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum(axis=1))
