"""What a validation is given beside its order: how to speak, right answers, labels, a reference."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from numpy.typing import NDArray

from edgewright.bundle.golden import Golden
from edgewright.errors import InputError
from edgewright.measure.load import LoadTarget
from edgewright.measure.load_result import LoadResult
from edgewright.validate.load import Load
from edgewright.validate.order import Order
from edgewright.validate.recording import Recorded
from edgewright.validate.ways import JsonWay, Way

GROUP, TRUTH = "group", "y"


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of inputs with their classes, and where rows belong together, of which group."""

    inputs: Mapping[str, NDArray[Any]]
    truth: NDArray[Any]
    groups: NDArray[Any] | None = None
    source: str = ""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A model, served as well, that the answers are compared with."""

    target: LoadTarget
    model: str
    text: str
    way: Way = JsonWay()


class EngineRun(msgspec.Struct, frozen=True, kw_only=True):
    """What another load generator measured: its own figures by our names, and what it doubts."""

    how: str
    figures: dict[str, float]
    result: LoadResult
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Engine(Protocol):
    """A load generator other than ours."""

    def run(self, order: Order, load: Load) -> EngineRun:
        """Put the order's load on the server, blocking.

        Raises:
            InputError: a scenario or protocol that it does not do.
        """


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; what is None was not given."""

    way: Way = JsonWay()
    golden: Golden | None = None
    labelled: Labelled | None = None
    reference: Reference | None = None
    recording: tuple[Recorded, ...] = ()
    engine: Engine | None = None


def labelled_of_arrays(arrays: Mapping[str, NDArray[Any]], *, source: str) -> Labelled:
    """A labelled set: an array for each input, `y` with a class for each row, optionally `group`.

    Raises:
        InputError: no `y`, no inputs, or arrays of different lengths.
    """
    inputs = {name: array for name, array in arrays.items() if name not in (TRUTH, GROUP)}
    truth = arrays.get(TRUTH)
    if truth is None or not inputs:
        raise InputError(
            f"{source} has arrays {sorted(arrays)}, expected one for each input and {TRUTH!r}",
            hint="np.savez(FILE, x=rows, y=classes)",
        )
    if truth.ndim != 1 or truth.dtype.kind not in "iuU" or len(truth) == 0:
        raise InputError(
            f"{source}: y is {truth.dtype} {list(truth.shape)}, expected one class for each row"
        )
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if set(lengths.values()) != {len(truth)}:
        raise InputError(f"{source}: arrays of different lengths: {lengths}")
    return Labelled(inputs=inputs, truth=truth, groups=arrays.get(GROUP), source=source)
