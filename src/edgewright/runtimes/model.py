"""A contract and a session together: raw request arrays in, contract outputs out.

The one way to run a model. The server, the probe, parity checks and validation all use it, so what
was verified is what is served.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgewright.bundle.golden import Golden, check_golden
from edgewright.contract import Contract, Tensor
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array, Bindable, Bound, EngineTensor, Session, core_clock
from edgewright.steps import (
    compile_checks,
    compile_postprocess,
    compile_preprocess,
    select_outputs,
)

BATCH = "batch"
_LIST_SIZE = 256


class LoadedModel:
    """An engine session that keeps its contract at both doors."""

    def __init__(self, contract: Contract, session: Session) -> None:
        self.contract = contract
        self.session = session
        self._check = compile_checks(contract)
        self._preprocess = compile_preprocess(contract)
        self._postprocess = compile_postprocess(contract)

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The contract's outputs for one request.

        Raises:
            InputError: the request is out of contract; the message names the field.
            DeviceError: the engine failed or answered something that is not finite.
        """
        self._check(arrays)
        return self.predict_checked(arrays)

    def predict_checked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The same for a request whose inputs were checked at the door already."""
        answers = self.session.run(self._preprocess(arrays))
        _check_finite(answers)
        return self._postprocess(answers)

    def bind(self, arrays: Mapping[str, Array]) -> Bound | None:
        """`predict_checked` for checked inputs of these shapes, in tensors that stay where they
        are. None where the contract has steps, or where that is not quicker.
        """
        is_more = type(self).predict_checked is not LoadedModel.predict_checked
        contract, session = self.contract, self.session
        if is_more or contract.preprocess or contract.postprocess:
            return None
        bound = session.bind(arrays) if isinstance(session, Bindable) else None
        if bound is None:
            return None
        select_outputs(contract, bound.outputs)
        return _BoundModel(bound)

    def core_clock(self) -> Callable[[], float] | None:
        """A clock of the time that passes have a core. None where more than the calling thread and
        a process that helps work on one: several threads, a GPU, a model of another kind.
        """
        placement = self.session.placement
        is_more = type(self).predict_checked is not LoadedModel.predict_checked
        is_alone = placement.threads == 1 and placement.device == "CPU" and not placement.elsewhere
        if is_more or not is_alone:
            return None
        return core_clock(self.session)

    def close(self) -> None:
        """Let go of the engine."""
        self.session.close()


class _BoundModel:
    """A bound pass of the engine whose answers are looked at."""

    __slots__ = ("_floats", "_run", "inputs", "outputs")

    def __init__(self, bound: Bound) -> None:
        self.inputs, self.outputs = bound.inputs, bound.outputs
        self._floats = [(n, array) for n, array in bound.outputs.items() if array.dtype.kind == "f"]
        self._run = bound.run

    def run(self) -> None:
        """Answer what lies in the inputs."""
        self._run()
        for name, array in self._floats:
            if not _is_finite(array):
                raise _not_finite(name)


def answer_golden(model: LoadedModel, requests: Mapping[str, Array]) -> Golden:
    """Golden vectors: the requests and what this model answers to them."""
    golden = Golden(inputs=dict(requests), outputs=model.predict(requests))
    check_golden(golden, model.contract)
    return golden


def _check_finite(answers: Mapping[str, Array]) -> None:
    for name, answer in answers.items():
        if answer.dtype.kind == "f" and not _is_finite(answer):
            raise _not_finite(name)


def _not_finite(name: str) -> DeviceError:
    return DeviceError(
        f"the engine's output {name!r} holds NaN or infinity",
        hint="verify the model against its golden vectors",
    )


def _is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite; a short list is quicker to add up than an array."""
    if array.size <= _LIST_SIZE and math.isfinite(sum(array.ravel().tolist())):
        return True
    return bool(np.isfinite(array).all())


def infer_contract(session: Session) -> Contract:
    """The contract that a bare engine file implies: its own tensors, no steps, no ranges.

    Raises:
        InputError: nothing goes in or comes out, or a tensor that no contract can describe.
    """
    if not session.inputs or not session.outputs:
        raise InputError(
            f"the model has {len(session.inputs)} inputs and {len(session.outputs)} outputs, "
            "expected one of each at least",
            hint="a graph that takes nothing has nothing to answer",
        )
    named = {tensor.rows for tensor in session.inputs if tensor.rows}
    share_rows = len(named) < 2
    return Contract(
        inputs=tuple(_declared(each, share_rows=share_rows) for each in session.inputs),
        outputs=tuple(_declared(each, share_rows=share_rows) for each in session.outputs),
    )


def _declared(tensor: EngineTensor, *, share_rows: bool) -> Tensor:
    """Inputs whose first dimensions the file calls differently may be of different lengths."""
    rows = BATCH if share_rows else tensor.rows or "dim0"
    shape = tuple(
        size if size is not None else f"dim{axis}" if axis else rows
        for axis, size in enumerate(tensor.shape)
    )
    try:
        return Tensor(name=tensor.name, dtype=tensor.dtype, shape=shape)  # type: ignore[arg-type]  # engines name numpy types
    except ValueError as error:
        raise InputError(f"the model's tensor {tensor.name!r}: {error}") from error
