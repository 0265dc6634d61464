"""Tiny models that calculate something a test can predict, behind the real contract checks."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from edgewright.contract import Contract, Tensor
from edgewright.device.serve.ports import Servable
from edgewright.runtimes.base import Array, EngineTensor, Placement
from edgewright.runtimes.model import LoadedModel

DOUBLER_CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2), low=-1000.0, high=1000.0),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
)


class FunctionSession:
    """An engine session that calls a function of the first input."""

    def __init__(self, function: Callable[[Array], Array], *, seconds: float = 0.0) -> None:
        self.inputs = (EngineTensor(name="x", dtype="float32", shape=(None, 2)),)
        self.outputs = (EngineTensor(name="y", dtype="float32", shape=(None, 2)),)
        self.placement = Placement(engine="function", device="CPU", precision="as-is", threads=1)
        self.passes: list[int] = []
        self.is_closed = False
        self._function = function
        self._seconds = seconds
        self._computed_s = 0.0

    def helper_cpu_s(self) -> float:
        """Sleeping stands for a core that computes."""
        return self._computed_s

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass, which takes its time as a real one does."""
        assert not self.is_closed, "a closed session was run"  # noqa: S101 - a test double's own check
        if self._seconds:
            time.sleep(self._seconds)
            self._computed_s += self._seconds
        self.passes.append(len(feeds["x"]))
        return {"y": self._function(feeds["x"])}

    def close(self) -> None:
        """Refuse to run from now on."""
        self.is_closed = True


class BoundFunction:
    """A bound pass of a `BindableFunctionSession`."""

    def __init__(self, session: FunctionSession, shape: tuple[int, ...]) -> None:
        self.inputs: dict[str, Array] = {"x": np.zeros(shape, np.float32)}
        self.outputs: dict[str, Array] = {"y": np.zeros(shape, np.float32)}
        self._session = session

    def run(self) -> None:
        """One pass over what lies in the inputs."""
        self.outputs["y"][...] = self._session.run(self.inputs)["y"]


class BindableFunctionSession(FunctionSession):
    """One whose tensors can stay where they are."""

    def bind(self, feeds: Mapping[str, Array]) -> BoundFunction:
        """A pass for feeds of this shape."""
        return BoundFunction(self, feeds["x"].shape)


def servable(session: FunctionSession, *, name: str = "doubler", version: str = "1") -> Servable:
    """A model of the doubler's contract around a session."""
    return Servable(
        name=name,
        version=version,
        platform="numpy",
        identity="0" * 64,
        model=LoadedModel(DOUBLER_CONTRACT, session),
    )


def open_doubler(path: Path) -> Servable:
    """A model named like the path that doubles its input."""
    return servable(FunctionSession(lambda x: np.float32(2) * x), name=path.stem)
