"""The ports of a stream: where samples come from, what predicts, where results go."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from numpy.typing import NDArray

from edgewright.contract import Contract

Array = NDArray[Any]


class Samples(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Measured samples of the sensor `key` in the order of their arrival: `time_s` [n], `values`
    [n, channels].
    """

    time_s: Array
    values: Array
    key: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One picture of the camera `key`: RGB bytes [height, width, 3]."""

    time_s: float
    values: Array
    key: str = ""


Item = Samples | Picture


class Result(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag="stream-result",
    tag_field="kind",
):
    """What a model said about one window, and what is held to be true after debouncing.

    `refused` is the reason when there is no answer: the window was out of contract, or the model
    failed at it. `key` says
    which sensor, where one source has many.
    """

    model: str
    key: str = ""
    start_s: float
    end_s: float
    label: str = ""
    score: float | None = None
    state: str = ""
    changed: bool = False
    refused: str = ""
    outputs: dict[str, Any] = {}
    schema_version: int = 1


class Source(Protocol):
    """Samples of a sensor, the columns being the contract's channels in their order; or
    pictures.
    """

    def chunks(self) -> AsyncGenerator[Item, None]:
        """Samples as they arrive; the end of the iterator is the end of the stream.

        Raises:
            InputError: what arrived is nothing that the source can read.
            TransportError: the other side is gone.
        """


class Sink(Protocol):
    """Takes results somewhere else. One with `wants_every` gets all results, also of a stream that
    passes on only changes: it would take silence for an end.
    """

    wants_every: bool

    async def start(self) -> None:
        """Get ready; called once, before the first result."""

    async def write(self, results: Sequence[Result]) -> None:
        """Take results over; a sink that cannot deliver now may keep a bounded number."""

    async def close(self) -> None:
        """Deliver what is kept and let go.

        Raises:
            TransportError: results could not be delivered; the message says how many.
        """


class Predictor(Protocol):
    """A loaded model (`edgewright.runtimes.model.LoadedModel` is one)."""

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The contract's outputs for one request.

        Raises:
            InputError: the request is out of contract.
            DeviceError: the model cannot answer.
        """
