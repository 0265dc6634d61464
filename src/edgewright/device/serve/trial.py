"""What a model must show before it serves: its golden answers, or at least finite and repeatable
ones; and how fast it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from edgewright.contract import Channel, Contract, Tensor
from edgewright.device.serve.plan import Measurement, Plan, choose_plan
from edgewright.device.serve.ports import Array, Arrays, Clocked, Model, Servable, Timer
from edgewright.errors import DeviceError, EdgewrightError
from edgewright.evidence.parity import compare
from edgewright.steps import check_inputs

BATCH = "batch"
_JOINED_ROWS = 8
_REPEATS = 20
_TRIAL_BUDGET_S = 0.1
_FREE_DIMENSION = 16
_LOUD = 1000.0
"""So much larger than what was tried may a value be where no range is declared."""

Rest = Callable[[], None]
_RESHAPING_STEPS = frozenset({"Resample", "Window"})


def no_rest() -> None:
    """Go on at once."""


def try_model(servable: Servable, timer: Timer, rest: Rest = no_rest) -> Plan:
    """Check the model's answers, then measure it and choose how to run it. `rest` is called between
    any two passes. Measured is the time that a pass has a core, where that can be told: beside a
    busy event loop nearly every pass waits for the interpreter longer than a tiny model runs, and
    what is chosen holds for as long as the model serves.

    Raises:
        DeviceError: it does not answer its golden vectors as promised, or not repeatably.
    """
    model = servable.model
    timer = (model.core_clock() if isinstance(model, Clocked) else None) or timer
    rows = _check_answers(servable, rest)
    one = _take_rows(model.contract, rows, 0, 1) if joins_rows(model.contract) else rows
    row_values = sum(array.size for array in one.values()) if _is_sized(model.contract) else 0
    single_s = _best_s(model, one, timer, rest)
    if not joins_rows(model.contract):
        return choose_plan(Measurement(single_s=single_s, row_values=row_values))
    several = _repeat_rows(model.contract, rows, _JOINED_ROWS)
    measured = Measurement(
        single_s=single_s,
        joined_s=_best_s(model, several, timer, rest),
        rows=_JOINED_ROWS,
        row_values=row_values,
        agrees=_rows_are_independent(model, several, rest),
    )
    plan = choose_plan(measured)
    if plan.max_rows > 1 and not _bears_loud_neighbours(model, several, rest):
        plan = choose_plan(msgspec.structs.replace(measured, agrees=False))
    return plan


def joins_rows(contract: Contract) -> bool:
    """Whether requests can be put into one pass: every tensor's first dimension is called "batch",
    and no step makes other rows of it.
    """
    tensors = (*contract.inputs, *contract.outputs)
    return all(tensor.shape and tensor.shape[0] == BATCH for tensor in tensors) and not any(
        type(step).__name__ in _RESHAPING_STEPS
        for step in (*contract.preprocess, *contract.postprocess)
    )


def _is_sized(contract: Contract) -> bool:
    """Whether a row may be larger than another: a dimension beside that of the rows is free."""
    return any(
        isinstance(size, str) and (place, size) != (0, BATCH)
        for tensor in contract.inputs
        for place, size in enumerate(tensor.shape)
    )


def sample_inputs(contract: Contract, *, rows: int, seed: int = 0) -> dict[str, Array]:
    """In-contract requests, the same for the same seed.

    >>> from edgewright.contract import Channel, Contract, Tensor
    >>> x = Tensor(name="x", dtype="uint8", shape=("batch", 2), low=3, high=3.5)
    >>> y = Tensor(name="y", dtype="uint8", shape=("batch", 2))
    >>> sample_inputs(Contract(inputs=(x,), outputs=(y,)), rows=1)["x"].tolist()
    [[3, 3]]
    """
    generator = np.random.default_rng(seed)
    named: dict[str, int] = {BATCH: rows}
    return {tensor.name: _sample(tensor, named, generator) for tensor in contract.inputs}


def _check_answers(servable: Servable, rest: Rest) -> Mapping[str, Array]:
    """The rows that were tried."""
    model, golden = servable.model, servable.golden
    if golden is not None:
        inputs = golden.inputs
        check_inputs(model.contract, inputs)
        promised, what = golden.outputs, "golden answers"
    else:
        inputs = sample_inputs(model.contract, rows=2 if joins_rows(model.contract) else 1)
        promised, what = model.predict_checked(inputs), "own first answers"
    rest()
    verdict = compare(promised, model.predict_checked(inputs), model.contract.tolerances)
    if not verdict.ok:
        raise DeviceError(
            f"model {servable.name} {servable.version} does not give its {what}: "
            f"{verdict.reasons[0]}",
            hint="this engine or machine does not run it as it was verified",
        )
    return inputs


def _best_s(model: Model, inputs: Arrays, timer: Timer, rest: Rest) -> float:
    """The shortest of several passes after a first one: other work only ever adds time."""
    model.predict_checked(inputs)
    taken: list[float] = []
    while len(taken) < _REPEATS and sum(taken) < _TRIAL_BUDGET_S:
        rest()
        started = timer()
        model.predict_checked(inputs)
        taken.append(timer() - started)
    return min(taken)


def _rows_are_independent(model: Model, inputs: Arrays, rest: Rest) -> bool:
    joined = model.predict_checked(inputs)
    for row in range(_JOINED_ROWS):
        rest()
        alone = model.predict_checked(_take_rows(model.contract, inputs, row, row + 1))
        same = {name: array[row : row + 1] for name, array in joined.items()}
        if not compare(alone, same, model.contract.tolerances).ok:
            return False
    return True


def _bears_loud_neighbours(model: Model, inputs: Arrays, rest: Rest) -> bool:
    """Whether every other row is answered as it is alone when those beside it are as large as the
    contract lets them be. Quantised on the fly, rows of one pass share a scale: where all are of a
    size that does not show, and one client's odd values would spoil another's answer.
    """
    joined = {
        tensor.name: _made_loud(tensor, inputs[tensor.name]) for tensor in model.contract.inputs
    }
    try:
        check_inputs(model.contract, joined)
        rest()
        answers = model.predict_checked(joined)
    except EdgewrightError:
        return True  # who sends that is refused, and gets no pass with others
    for row in range(0, _JOINED_ROWS, 2):
        rest()
        alone = model.predict_checked(_take_rows(model.contract, joined, row, row + 1))
        same = {name: array[row : row + 1] for name, array in answers.items()}
        if not compare(alone, same, model.contract.tolerances).ok:
            return False
    return True


def _made_loud(tensor: Tensor, array: Array) -> Array:
    """Every second row at the end of its range. Whole numbers without one stay: they may count
    something.
    """
    is_limited = tensor.high is not None or any(c.high is not None for c in tensor.channels)
    if array.dtype.kind != "f" and not (is_limited and array.dtype.kind in "ui"):
        return array
    loud = array.copy()
    if is_limited:
        loud[1::2] = _limits(tensor, array.dtype)[1].astype(array.dtype)
    else:
        loud[1::2] = np.clip(loud[1::2] * _LOUD, *_finite_range(array.dtype))
    return loud


def _finite_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    known = np.finfo(dtype)
    return float(known.min), float(known.max)


def _take_rows(contract: Contract, inputs: Arrays, first: int, last: int) -> dict[str, Array]:
    return {tensor.name: inputs[tensor.name][first:last] for tensor in contract.inputs}


def _repeat_rows(contract: Contract, inputs: Arrays, rows: int) -> dict[str, Array]:
    """Different rows where there are enough, then the same again."""
    return {
        tensor.name: np.resize(inputs[tensor.name], (rows, *inputs[tensor.name].shape[1:]))
        for tensor in contract.inputs
    }


def _sample(tensor: Tensor, named: dict[str, int], generator: np.random.Generator) -> Array:
    shape = tuple(
        size if isinstance(size, int) else named.setdefault(size, _FREE_DIMENSION)
        for size in tensor.shape
    )
    if tensor.dtype == "string":
        return np.full(shape, "", dtype=object)
    dtype = np.dtype(tensor.dtype)
    low, high = _limits(tensor, dtype)
    values = low + (high - low) * generator.random(shape)
    return np.clip(values, low, high).astype(dtype).reshape(shape)


def _limits(tensor: Tensor, dtype: np.dtype[np.generic]) -> tuple[Array, Array]:
    """A range inside every declared one; narrow where none is declared."""
    default_low, default_high = (0.0, 1.0) if dtype.kind in "bui" else (-1.0, 1.0)
    lows, highs = [], []
    for channel in tensor.channels or (Channel(name="all"),):
        lower = [limit for limit in (tensor.low, channel.low) if limit is not None]
        upper = [limit for limit in (tensor.high, channel.high) if limit is not None]
        low = max(lower) if lower else min([default_low, *upper])
        high = min(upper) if upper else max(default_high, low)
        lows.append(np.ceil(low) if dtype.kind in "ui" else low)
        highs.append(np.floor(high) if dtype.kind in "ui" else high)
    return np.array(lows), np.array(highs)
