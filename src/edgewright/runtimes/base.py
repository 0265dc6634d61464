"""The port: a runtime opens model files of its formats as sessions; a session turns arrays into
arrays.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError

Array = NDArray[Any]


class EngineTensor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tensor as the engine file itself declares it. None is a dimension of any size; what the
    file calls the first one, if it says so, is its `rows`. Files of the reference engine hold it.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    rows: str = ""


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an engine can run here; if not, why, and what to install or attach."""

    available: bool
    version: str = ""
    reason: str = ""
    install: str = ""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a loaded model really runs, as the engine answers when asked, never as it was asked to.

    `elsewhere` counts the graph's nodes by the other places that run them: a CPU that helps an
    accelerator out is seen here.
    """

    engine: str
    device: str
    precision: str
    threads: int
    elsewhere: dict[str, int] = {}

    @property
    def text(self) -> str:
        """One line for a report."""
        rest = "".join(f", {count} nodes on {place}" for place, count in self.elsewhere.items())
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.engine} on {self.device}, {self.precision}, {threads}{rest}"


class Session(Protocol):
    """A loaded model. Sessions may be called from several threads at once."""

    @property
    def placement(self) -> Placement:
        """Where it really runs."""

    @property
    def inputs(self) -> tuple[EngineTensor, ...]:
        """What the model takes."""

    @property
    def outputs(self) -> tuple[EngineTensor, ...]:
        """What the model gives."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass.

        Raises:
            InputError: a feed is missing, superfluous, or of the wrong type or shape.
            DeviceError: the engine itself failed.
        """

    def close(self) -> None:
        """Let go of the model's memory."""


class Bound(Protocol):
    """A pass of fixed shapes whose tensors stay where they are, for one caller at a time: fill the
    inputs, run, read the outputs before the next run.
    """

    inputs: dict[str, Array]
    outputs: dict[str, Array]

    def run(self) -> None:
        """Answer what lies in the inputs; raises whatever the engine raises."""


@runtime_checkable
class Bindable(Protocol):
    """A session whose tensors can stay where they are."""

    def bind(self, feeds: Mapping[str, Array]) -> Bound | None:
        """A pass for feeds of these shapes, until the session is closed; None where that is not
        quicker.
        """


@runtime_checkable
class Helped(Protocol):
    """A session whose passes are computed by somebody else than the thread that calls."""

    def helper_cpu_s(self) -> float:
        """Seconds that its helper has had a core so far."""


def core_clock(
    session: Session, own: Callable[[], float] = time.thread_time
) -> Callable[[], float]:
    """A clock of the time that a session's passes have a core: that of the calling thread (engines
    that are asked for one thread compute in it), or of the whole process (`own`), and that of a
    process that helps. On a busy machine it leaves out the wait for a core.
    """
    if isinstance(session, Helped):
        helper_cpu_s = session.helper_cpu_s
        return lambda: own() + helper_cpu_s()
    return own


class Runtime(Protocol):
    """An engine. `formats` are the bundle's format words it opens ("onnx", "reference", ...)."""

    name: str
    formats: tuple[str, ...]

    def availability(self) -> Availability:
        """Whether it can run on this machine, without loading a model."""

    def open(self, path: Path, *, threads: int = 1) -> Session:
        """Load a model file.

        Raises:
            UnavailableError: the engine is not installed here.
            InputError: the file is not a model of this engine's formats.
        """


_WHERE = re.compile(r"/\S+\.(?:cc|h):\d+ .*?\) (?=[A-Z])")
"""A place in onnxruntime's own source, with the signature of a function."""


def first_line(error: BaseException) -> str:
    """What an engine's exception says, short enough for a message: without where in the engine's
    source, since the signature of a function alone may be 300 characters.
    """
    text = _WHERE.sub(" ", str(error)).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def compile_feeds(
    inputs: tuple[EngineTensor, ...],
) -> Callable[[Mapping[str, Array]], Mapping[str, Array]]:
    """`checked_feeds` for one engine, for whoever runs it often: feeds that fit as they are pass
    with a look at each.
    """
    wanted = [(tensor.name, np.dtype(tensor.dtype), tensor.shape) for tensor in inputs]

    def check(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        for name, dtype, shape in wanted:
            array = feeds.get(name)
            if array is None or array.dtype is not dtype or len(array.shape) != len(shape):
                return checked_feeds(feeds, inputs)
            for want, have in zip(shape, array.shape, strict=True):
                if want is not None and want != have:
                    return checked_feeds(feeds, inputs)
            if not array.flags.c_contiguous:
                return checked_feeds(feeds, inputs)
        return feeds if len(feeds) == len(wanted) else checked_feeds(feeds, inputs)

    return check


def checked_feeds(feeds: Mapping[str, Array], inputs: tuple[EngineTensor, ...]) -> dict[str, Array]:
    """The feeds as contiguous arrays, refused by name when they do not fit what the engine
    declares.
    """
    names = [tensor.name for tensor in inputs]
    if set(feeds) != set(names):
        raise InputError(
            f"the engine takes inputs {names}, got {sorted(feeds)}",
            hint="check the contract's steps",
        )
    for tensor in inputs:
        array = feeds[tensor.name]
        shape_fits = len(array.shape) == len(tensor.shape) and all(
            want is None or want == have
            for want, have in zip(tensor.shape, array.shape, strict=True)
        )
        if not shape_fits or array.dtype != np.dtype(tensor.dtype):
            raise InputError(
                f"engine input {tensor.name!r} expects {tensor.dtype} {list(tensor.shape)}, "
                f"got {array.dtype} {list(array.shape)}",
                hint="check the contract's steps",
            )
    return {name: np.ascontiguousarray(feeds[name]) for name in names}
