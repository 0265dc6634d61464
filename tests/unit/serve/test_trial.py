import time
from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.bundle.golden import Golden
from edgewright.contract import Channel, Contract, Normalise, Tensor, Window
from edgewright.device.serve.ports import Servable
from edgewright.device.serve.trial import joins_rows, sample_inputs, try_model
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.runtimes.model import LoadedModel
from edgewright.steps import check_inputs
from edgewright.testing.models import DOUBLER_CONTRACT, FunctionSession, servable

X = np.array([[1, 2], [3, 4]], np.float32)


def golden(model: Servable, outputs: Array) -> Servable:
    return msgspec.structs.replace(model, golden=Golden(inputs={"x": X}, outputs={"y": outputs}))


def timer() -> Any:
    steps = count()
    return lambda: next(steps) * 1e-5


def test_model_that_gives_its_golden_answers_passes() -> None:
    plan = try_model(golden(servable(FunctionSession(lambda x: x * 2)), X * 2), timer())
    assert plan.is_inline


def test_waiting_for_a_core_makes_no_model_slow() -> None:
    """Beside a busy event loop nearly every pass waits for the interpreter."""

    def held_up(x: Array) -> Array:
        time.sleep(2e-3)
        return x * 2

    plan = try_model(servable(FunctionSession(held_up)), time.perf_counter)
    assert plan.is_inline
    assert plan.single_s < 1e-3
    slow = try_model(servable(FunctionSession(lambda x: x * 2, seconds=2e-3)), time.perf_counter)
    assert not slow.is_inline


def test_model_that_gives_other_answers_is_refused() -> None:
    wrong = golden(servable(FunctionSession(lambda x: x * 3)), X * 2)
    with pytest.raises(DeviceError, match="does not give its golden answers: output 'y'"):
        try_model(wrong, timer())


def test_golden_inputs_out_of_contract_are_refused() -> None:
    model = golden(servable(FunctionSession(lambda x: x)), X)
    strange = Golden(inputs={"x": X * 1e6}, outputs={"y": X})
    with pytest.raises(InputError, match="expected -1000 to 1000"):
        try_model(msgspec.structs.replace(model, golden=strange), timer())


def test_bare_model_passes_when_its_answers_are_finite_and_repeatable() -> None:
    assert try_model(servable(FunctionSession(lambda x: x * 2)), timer()).max_rows > 1


def test_bare_model_is_refused_when_its_answers_are_random() -> None:
    generator = np.random.default_rng(1)
    noisy = FunctionSession(lambda x: x + generator.standard_normal(x.shape).astype(np.float32))
    with pytest.raises(DeviceError, match="own first answers"):
        try_model(servable(noisy), timer())


def test_bare_model_is_refused_when_its_answer_is_not_finite() -> None:
    with pytest.raises(DeviceError, match="NaN"):
        try_model(servable(FunctionSession(lambda x: x * np.float32(np.nan))), timer())


def test_model_whose_rows_influence_each_other_is_not_joined() -> None:
    mixing = FunctionSession(lambda x: x - x.mean(axis=0))
    assert try_model(servable(mixing), timer()).max_rows == 1


@pytest.mark.parametrize(
    ("contract", "joins"),
    [
        (DOUBLER_CONTRACT, True),
        (
            Contract(
                inputs=(Tensor(name="x", dtype="float32", shape=("time", 2)),),
                outputs=(Tensor(name="y", dtype="float32", shape=("time", 2)),),
            ),
            False,
        ),
        (
            Contract(
                inputs=DOUBLER_CONTRACT.inputs,
                outputs=DOUBLER_CONTRACT.outputs,
                preprocess=(Window(tensor="x", length=2, hop=1),),
            ),
            False,
        ),
        (
            Contract(
                inputs=DOUBLER_CONTRACT.inputs,
                outputs=DOUBLER_CONTRACT.outputs,
                preprocess=(Normalise(tensor="x", mean=(0.0,), std=(1.0,)),),
            ),
            True,
        ),
    ],
)
def test_rows_are_joined_only_where_the_contract_says_batch(
    contract: Contract, *, joins: bool
) -> None:
    assert joins_rows(contract) is joins


@given(
    dtype=st.sampled_from(["bool", "uint8", "int32", "float16", "float32", "float64", "string"]),
    low=st.none() | st.integers(-50, 50),
    high=st.none() | st.integers(60, 200),
    channel_low=st.none() | st.integers(-40, 55),
    seed=st.integers(0, 9),
)
def test_samples_are_in_contract(
    dtype: Any, low: int | None, high: int | None, channel_low: int | None, seed: int
) -> None:
    if dtype == "uint8":
        low = max(low or 0, 0)
        channel_low = max(channel_low or 0, 0)
    limits = {} if dtype in ("bool", "string") else {"low": low, "high": high}
    channels = (Channel(name="a", low=None if dtype in ("bool", "string") else channel_low),) * 3
    tensor = Tensor(name="x", dtype=dtype, shape=("batch", "time", 3), channels=channels, **limits)
    contract = Contract(inputs=(tensor,), outputs=(tensor,))
    sample = sample_inputs(contract, rows=4, seed=seed)
    check_inputs(contract, sample)
    assert sample["x"].shape == (4, 16, 3)


def quantised_on_the_fly(x: Array) -> Array:
    """All rows of a pass share one scale, as after ONNX's DynamicQuantizeLinear."""
    step = np.float32(max(float(np.abs(x).max()), 1e-9) / 32767)
    return np.round(x / step).astype(np.float32) * step


def unlimited(function: Any) -> Servable:
    """A model of the doubler's tensors that declares no range."""
    inputs = (Tensor(name="x", dtype="float32", shape=("batch", 2)),)
    contract = Contract(inputs=inputs, outputs=DOUBLER_CONTRACT.outputs)
    session = FunctionSession(function)
    return msgspec.structs.replace(servable(session), model=LoadedModel(contract, session))


def test_rows_that_share_a_scale_are_not_joined() -> None:
    """Beside rows of its own size nothing shows; beside a large one the small one is rounded."""
    assert try_model(servable(FunctionSession(quantised_on_the_fly)), timer()).max_rows == 1
    assert try_model(unlimited(quantised_on_the_fly), timer()).max_rows == 1


def test_rows_are_joined_where_large_values_are_refused_by_the_model() -> None:
    def fails(x: Array) -> Array:
        return np.where(np.abs(x) > 100, np.float32(np.nan), x)

    assert try_model(unlimited(fails), timer()).max_rows > 1


def test_a_number_without_dimensions_is_tried_as_one() -> None:
    scalar = Tensor(name="s", dtype="float32", shape=())
    contract = Contract(inputs=(scalar,), outputs=DOUBLER_CONTRACT.outputs)
    assert sample_inputs(contract, rows=1)["s"].shape == ()
    limited = Tensor(name="s", dtype="uint8", shape=(), low=2, high=2.5)
    sampled = sample_inputs(Contract(inputs=(limited,), outputs=contract.outputs), rows=1)["s"]
    assert (sampled.shape, sampled.dtype, int(sampled)) == ((), np.uint8, 2)


def test_what_was_tried_is_remembered_where_rows_have_sizes_of_their_own() -> None:
    session = FunctionSession(lambda x: x[:, :2])
    session.inputs = (EngineTensor(name="x", dtype="float32", shape=(None, None)),)
    sized = Tensor(name="x", dtype="float32", shape=("batch", "length"))
    contract = Contract(inputs=(sized,), outputs=DOUBLER_CONTRACT.outputs)
    model = msgspec.structs.replace(servable(session), model=LoadedModel(contract, session))
    assert try_model(model, timer()).row_values == 16
    assert try_model(golden(model, X), timer()).row_values == 2
    assert try_model(servable(FunctionSession(lambda x: x)), timer()).row_values == 0
