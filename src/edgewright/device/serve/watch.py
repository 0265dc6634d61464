"""The drift tap: a few rows a second of what a model takes and gives, looked at beside the serving.

The hot path only keeps a reference to a pass's arrays, and only while there is room; another
thread turns them into a mean and a spread per channel, in constant memory, and pushes the
windows to the drift monitor where the model has one. Old rows count less and less, so that what is
told is about the latest hours, not about the day of the start.
"""

import logging
from collections.abc import Callable

import msgspec
import numpy as np

from edgewright.contract import Contract, Tensor
from edgewright.device.serve.ports import Array, Arrays, DriftJudge

logger = logging.getLogger(__name__)

ROWS_A_TURN = 32
TURN_S = 1.0
REMEMBERED_ROWS = 4096
"""Rows older than about this many weigh less than a third."""
_MOST_CHANNELS = 64
_BYTES_A_ROW = 1 << 15
"""A pass counts as one row for each so many bytes at least: large rows are looked at less often."""


_MOST_PLACES = 1 << 15
"""So many places of a large array say as much of its channels as all of them."""

_FARTHEST = 1e100
"""Larger values, and infinite ones, count as this: a variance of them is still a number."""


class ChannelMoments(msgspec.Struct, frozen=True, eq=False):
    """Mean and spread of each channel of one tensor, and how many rows were looked at."""

    names: tuple[str, ...]
    rows: int
    mean: Array
    variance: Array

    @property
    def std(self) -> Array:
        """Standard deviation per channel."""
        return np.sqrt(self.variance)

    def add(self, array: Array) -> "ChannelMoments":
        """The moments with more rows.

        >>> moments = ChannelMoments(("a",), 0, np.zeros(1), np.zeros(1))
        >>> moments = moments.add(np.array([[1.0], [3.0]])).add(np.array([[5.0], [7.0]]))
        >>> moments.rows, moments.mean.tolist(), moments.variance.tolist()
        (4, [4.0], [5.0])
        """
        places = array.reshape(-1, len(self.names))
        # An odd step, so that it does not keep to one column of a picture.
        values = places[:: len(places) // _MOST_PLACES | 1].astype(np.float64)
        np.clip(values, -_FARTHEST, _FARTHEST, out=values)
        known, new = min(self.rows, REMEMBERED_ROWS), len(array)
        weight = new / (known + new)
        shift = values.mean(axis=0) - self.mean
        variance = self.variance + weight * (values.var(axis=0) - self.variance)
        return msgspec.structs.replace(
            self,
            rows=self.rows + new,
            mean=self.mean + weight * shift,
            variance=variance + weight * (1 - weight) * shift**2,
        )


class Watch:
    """The tap of one model. `room` is how many rows it takes until its next turn."""

    __slots__ = (
        "_background",
        "_call_later",
        "_kept",
        "_name",
        "drift",
        "moments",
        "room",
    )

    def __init__(
        self,
        name: str,
        contract: Contract,
        *,
        drift: DriftJudge | None,
        call_later: Callable[[float, Callable[[], None]], object],
        background: Callable[[Callable[[], None]], object],
    ) -> None:
        self.room = ROWS_A_TURN
        self.drift = drift
        self.moments = _moments((*contract.inputs, *contract.outputs))
        self._name = name
        self._kept: list[tuple[Arrays, Arrays]] = []
        self._call_later = call_later
        self._background = background

    def take(self, inputs: Arrays, outputs: Arrays) -> None:
        """Keep a pass for the next turn; the caller has seen that there is room."""
        if not self._kept:
            self._call_later(TURN_S, self._turn)
        self._kept.append((inputs, outputs))
        first = next(iter(inputs.values()))
        self.room -= max(len(first) if first.ndim else 1, first.nbytes // _BYTES_A_ROW)

    def _turn(self) -> None:
        """Let another thread look at what was kept."""
        kept, self._kept = self._kept, []
        self.room = 0
        self._background(lambda: self._look(kept))

    def _look(self, kept: list[tuple[Arrays, Arrays]]) -> None:
        try:
            for inputs, outputs in kept:
                self._add({**inputs, **outputs})
                if self.drift is not None:
                    self.drift.push(next(iter(inputs.values())))
        except Exception:  # the top of a task; without it this model would only look watched
            logger.exception("drift tap ended: model=%s", self._name)
            self.drift = None
            return
        self.room = ROWS_A_TURN

    def _add(self, arrays: Arrays) -> None:
        for name, known in self.moments.items():
            array = arrays[name]
            if array.size:
                self.moments[name] = known.add(array if array.ndim else array.reshape(1))


def _moments(tensors: tuple[Tensor, ...]) -> dict[str, ChannelMoments]:
    """Nothing seen yet, for every tensor of numbers."""
    found: dict[str, ChannelMoments] = {}
    for tensor in tensors:
        if tensor.dtype != "string":
            names = _channel_names(tensor)
            zeros = np.zeros(len(names))
            found[tensor.name] = ChannelMoments(names, 0, zeros, zeros)
    return found


def _channel_names(tensor: Tensor) -> tuple[str, ...]:
    """The last dimension's, where that is fixed and short; else all is one channel."""
    if tensor.channels:
        return tuple(channel.name for channel in tensor.channels)
    size = tensor.shape[-1] if len(tensor.shape) > 1 else 0
    if isinstance(size, int) and 0 < size <= _MOST_CHANNELS:
        return tuple(map(str, range(size)))
    return ("all",)
