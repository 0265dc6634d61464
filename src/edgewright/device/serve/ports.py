"""What the server needs of others, handed in by `chain`: models, and a way to open them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
from numpy.typing import NDArray

from edgewright.bundle.golden import Golden
from edgewright.contract import Contract, Evidence

Array = NDArray[Any]
Arrays = Mapping[str, Array]


class Model(Protocol):
    """A contract and an engine together; called from one thread at a time or from several."""

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""

    def predict_checked(self, arrays: Arrays) -> dict[str, Array]:
        """The contract's outputs for inputs that were checked at the door.

        Raises:
            InputError: the contract's own steps refuse the request.
            DeviceError: the engine failed, or its answer is not finite.
        """

    def close(self) -> None:
        """Let go of its memory."""


class Bound(Protocol):
    """A pass of fixed shapes whose tensors stay where they are: fill the inputs, run, read the
    outputs before the next run.
    """

    inputs: dict[str, Array]
    outputs: dict[str, Array]

    def run(self) -> None:
        """Answer what lies in the inputs; raises as `Model.predict_checked`."""


@runtime_checkable
class Bindable(Protocol):
    """A model whose tensors can stay where they are."""

    def bind(self, arrays: Arrays) -> Bound | None:
        """`predict_checked` for arrays of these shapes and one caller at a time; None where that is
        not quicker.
        """


@runtime_checkable
class Clocked(Protocol):
    """A model that can tell how long its passes had a core, whatever else the machine does."""

    def core_clock(self) -> Callable[[], float] | None:
        """Seconds so far, as the calling thread reads them; None where nobody can tell."""


class DriftFinding(Protocol):
    """What broke, where something did."""

    @property
    def cause(self) -> str:
        """Its name; empty when all is well."""


class DriftJudge(Protocol):
    """Judges windows of a model's input, in the order of time, by one thread at a time."""

    @property
    def windows(self) -> int:
        """How many it judged."""

    @property
    def score(self) -> float:
        """How far the latest are from normal; above 1 is more than the limit."""

    @property
    def finding(self) -> DriftFinding:
        """What holds now."""

    def push(self, windows: Array) -> None:
        """Take windows [rows, length, channels]."""


class Isolation(Protocol):
    """A model's own process, and the memory that it may use."""

    @property
    def limit_mb(self) -> float:
        """More than this ends it."""

    @property
    def used_mb(self) -> float:
        """What it uses now."""

    @property
    def restarts(self) -> int:
        """How often it was started again."""

    def settle(self, pass_s: float) -> None:
        """From now on no pass may take longer than many times this."""


class Servable(msgspec.Struct, frozen=True, kw_only=True):
    """An opened model and who it is. `identity` is the bundle's id or the file's sha256. One that
    `is_apart` waits for other processes, so the event loop never waits for it.
    """

    name: str
    version: str
    platform: str
    identity: str
    model: Model
    golden: Golden | None = None
    evidence: tuple[Evidence, ...] = ()
    drift: DriftJudge | None = None
    isolation: Isolation | None = None
    """Where the model runs in a process of its own."""
    is_signed: bool = False
    is_apart: bool = False


OpenModel = Callable[[Path], Servable]
"""Opens a bundle or a bare engine file, in a worker thread. Raises the errors of `errors.py`."""

Timer = Callable[[], float]
"""Seconds that never fall; only differences mean something."""


class Listener(Protocol):
    """Another way in than HTTP: it listens, answers through the same models, and drains."""

    @property
    def address(self) -> str:
        """Where it listens."""

    async def start(self) -> None:
        """Listen."""

    async def close(self, drain_s: float = 5.0) -> None:
        """Take nothing new, answer what was taken."""
