"""What a model must show before it serves: its golden answers, or at least finite and repeatable
ones; and how fast it is.

A trial goes on pass by pass, in whichever thread: one that is known to be short may be run between
the requests of the models that serve.
"""

import math
from collections.abc import Generator, Mapping

import numpy as np

from edgewright.contract import Channel, Contract, Tensor
from edgewright.device.serve.plan import Measurement, Plan, choose_plan
from edgewright.device.serve.ports import Array, Arrays, Model, Servable, Timer
from edgewright.errors import DeviceError
from edgewright.evidence.parity import compare
from edgewright.steps import check_inputs

BATCH = "batch"
_JOINED_ROWS = 8
_REPEATS = 10
_TRIAL_BUDGET_S = 0.1
_FREE_DIMENSION = 16

_RESHAPING_STEPS = frozenset({"Resample", "Window"})


Steps = Generator[float, None, Plan]
"""Before each pass but the first, how long that will take; in the end, how to run the model."""


class Trial:
    """A model on trial; `plan` is there when it has passed.

    >>> from edgewright.testing.models import FunctionSession, servable
    >>> import itertools
    >>> ticks = itertools.count()
    >>> trial = Trial(servable(FunctionSession(lambda x: x * 2)), lambda: next(ticks) * 1e-5)
    >>> trial.next_s
    inf
    >>> trial.step()
    >>> trial.next_s, trial.plan
    (1e-05, None)
    """

    def __init__(self, servable: Servable, timer: Timer) -> None:
        self.next_s = math.inf
        """How long the next step will take; infinite where nothing is known yet."""
        self.plan: Plan | None = None
        self._timer = timer
        self._steps = _steps(servable, timer)

    def step(self) -> None:
        """One pass more.

        Raises:
            DeviceError: the model does not answer its golden vectors as promised, or not
                repeatably.
            InputError: its golden vectors are out of contract.
        """
        try:
            self.next_s = next(self._steps)
        except StopIteration as ended:
            self.plan = ended.value

    def stretch(self, seconds: float) -> None:
        """One step in any case, and more as long as they fit; raises as `step`."""
        end_s = self._timer() + seconds
        self.step()
        while self.plan is None and self._timer() + self.next_s <= end_s:
            self.step()

    def run(self) -> Plan:
        """All that is left, at once; raises as `step`."""
        while self.plan is None:
            self.step()
        return self.plan


def try_model(servable: Servable, timer: Timer) -> Plan:
    """Check the model's answers, then measure it and choose how to run it.

    Raises:
        DeviceError: it does not answer its golden vectors as promised, or not repeatably.
    """
    return Trial(servable, timer).run()


def joins_rows(contract: Contract) -> bool:
    """Whether requests can be put into one pass: every tensor's first dimension is called "batch",
    and no step makes other rows of it.
    """
    tensors = (*contract.inputs, *contract.outputs)
    return all(tensor.shape and tensor.shape[0] == BATCH for tensor in tensors) and not any(
        type(step).__name__ in _RESHAPING_STEPS
        for step in (*contract.preprocess, *contract.postprocess)
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


def _steps(servable: Servable, timer: Timer) -> Steps:
    model = servable.model
    rows = yield from _check_answers(servable, timer)
    if not joins_rows(model.contract):
        single_s = yield from _best_s(model, rows, timer)
        return choose_plan(Measurement(single_s=single_s))
    one = _take_rows(model.contract, rows, 0, 1)
    single_s = yield from _best_s(model, one, timer)
    several = _repeat_rows(model.contract, rows, _JOINED_ROWS)
    yield single_s * _JOINED_ROWS
    joined_s = yield from _best_s(model, several, timer)
    yield joined_s
    agrees = yield from _rows_are_independent(model, several, single_s)
    return choose_plan(
        Measurement(single_s=single_s, joined_s=joined_s, rows=_JOINED_ROWS, agrees=agrees)
    )


def _check_answers(servable: Servable, timer: Timer) -> Generator[float, None, Mapping[str, Array]]:
    """The rows that were tried."""
    model, golden = servable.model, servable.golden
    if golden is not None:
        inputs = golden.inputs
        check_inputs(model.contract, inputs)
        promised, what = golden.outputs, "golden answers"
    else:
        inputs = sample_inputs(model.contract, rows=2 if joins_rows(model.contract) else 1)
        promised, what = model.predict_checked(inputs), "own first answers"
    taken_s, answered = _timed(model, inputs, timer)
    yield taken_s
    verdict = compare(promised, answered, model.contract.tolerances)
    if not verdict.ok:
        raise DeviceError(
            f"model {servable.name} {servable.version} does not give its {what}: "
            f"{verdict.reasons[0]}",
            hint="this engine or machine does not run it as it was verified",
        )
    return inputs


def _timed(model: Model, inputs: Arrays, timer: Timer) -> tuple[float, Mapping[str, Array]]:
    started_s = timer()
    answered = model.predict_checked(inputs)
    return timer() - started_s, answered


def _best_s(model: Model, inputs: Arrays, timer: Timer) -> Generator[float, None, float]:
    """The shortest of several passes after a first one: other work only ever adds time."""
    first_s, _ = _timed(model, inputs, timer)
    best_s, spent_s = first_s, 0.0
    for _ in range(_REPEATS):
        yield best_s
        taken_s, _ = _timed(model, inputs, timer)
        best_s, spent_s = min(best_s, taken_s), spent_s + taken_s
        if spent_s >= _TRIAL_BUDGET_S:
            break
    return best_s


def _rows_are_independent(
    model: Model, inputs: Arrays, single_s: float
) -> Generator[float, None, bool]:
    joined = model.predict_checked(inputs)
    for row in range(_JOINED_ROWS):
        yield single_s
        alone = model.predict_checked(_take_rows(model.contract, inputs, row, row + 1))
        same = {name: array[row : row + 1] for name, array in joined.items()}
        if not (_are_equal(alone, same) or compare(alone, same, model.contract.tolerances).ok):
            return False
    return True


def _are_equal(answers: Arrays, others: Arrays) -> bool:
    """To the last bit: most are, and a comparison takes longer than a tiny model's pass."""
    return answers.keys() == others.keys() and all(
        array.size > 0 and np.array_equal(array, others[name]) for name, array in answers.items()
    )


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
    return np.clip(values, low, high).astype(dtype)


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
