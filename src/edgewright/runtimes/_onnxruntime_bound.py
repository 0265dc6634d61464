"""Passes of ONNX Runtime whose tensors stay where they are.

The engine's plain call wraps every array anew, makes new ones for the answers and settings for
itself: more work than a tiny model. A bound pass has its arrays wrapped once. It is for one caller
at a time; whoever comes meanwhile takes the plain call.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

from edgewright.runtimes.base import Array

MOST_BYTES = 64 << 10
"""A pass over more is so long that nobody notices how its tensors were wrapped."""
_MOST_SHAPES = 64
_KINDS = "biuf"

_Key = tuple[tuple[str, tuple[int, ...]], ...]


class BoundPass:
    """A pass of fixed shapes: fill the inputs, run, read the outputs before the next run."""

    __slots__ = ("_binding", "_run", "_settings", "inputs", "outputs")

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
    ) -> None:
        self.inputs = {name: np.zeros(array.shape, array.dtype) for name, array in inputs.items()}
        self.outputs = {name: np.zeros(array.shape, array.dtype) for name, array in outputs.items()}
        binding = session.io_binding()
        for name, array in self.inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in self.outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        inner = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
        owner: Any
        owner, self._binding = (session, binding) if None in inner else inner
        self._run = owner.run_with_iobinding
        self._settings = ort.RunOptions()

    def run(self) -> None:
        """Answer what lies in the inputs."""
        self._run(self._binding, self._settings)

    def close(self) -> None:
        """Let go of the engine; the binding before the session that it belongs to."""
        del self._binding
        del self._run


class BoundPasses:
    """The bound passes of one session, one for each of the shapes that came twice."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._free: dict[_Key, BoundPass] = {}
        self._seen: dict[_Key, int] = {}
        self._all: list[BoundPass] = []

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """The answer to feeds of shapes that were seen before; None leaves them, and every fault,
        to the plain call.
        """
        key = tuple([(name, array.shape) for name, array in feeds.items()])
        bound = self._free.pop(key, None)
        if bound is None:
            return None
        for name, place in bound.inputs.items():
            array = feeds[name]
            if array.dtype is not place.dtype:
                self._free[key] = bound
                return None
            place[...] = array
        try:
            bound.run()
        except Exception:  # noqa: BLE001 - the plain call meets a fault again, and tells it
            return None  # an answer of another length ends up here too: this pass is not kept
        answer = {name: place.copy() for name, place in bound.outputs.items()}
        self._free[key] = bound
        return answer

    def learn(self, feeds: Mapping[str, Array], results: Mapping[str, Array]) -> None:
        """The plain call answered this: when it does so again, bind a pass of these shapes."""
        key = tuple([(name, array.shape) for name, array in feeds.items()])
        times = self._seen.get(key, 0)
        if times > 1 or (not times and len(self._seen) >= _MOST_SHAPES):
            return
        self._seen[key] = times + 1
        if times:
            bound = self.bind(feeds, results)
            if bound is not None:
                self._free[key] = bound

    def bind(self, feeds: Mapping[str, Array], results: Mapping[str, Array]) -> BoundPass | None:
        """A pass of these shapes, or None where there is nothing to be won, or where it does not
        answer the same.
        """
        tensors = [*feeds.values(), *results.values()]
        if not all(_is_plain(tensor) for tensor in tensors):
            return None
        if sum(tensor.nbytes for tensor in tensors) > MOST_BYTES:
            return None
        try:
            bound = BoundPass(self._session, feeds, results)
            for name, place in bound.inputs.items():
                place[...] = feeds[name]
            bound.run()
        except Exception:  # noqa: BLE001 - engine and model as they are: the plain call stays
            return None
        for name, place in bound.outputs.items():
            if place.tobytes() != results[name].tobytes():
                return None
        self._all.append(bound)
        return bound

    def close(self) -> None:
        """Let go of the engine."""
        self._free.clear()
        for bound in self._all:
            bound.close()
        self._all.clear()
        del self._session


def _is_plain(tensor: object) -> bool:
    """Whether it is an array of numbers, and not an empty one."""
    return isinstance(tensor, np.ndarray) and tensor.dtype.kind in _KINDS and tensor.size > 0
