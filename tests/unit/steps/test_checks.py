import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewright.contract import Channel, Contract, Tensor
from edgewright.errors import DeviceError, InputError
from edgewright.steps import check_inputs, compile_checks, select_outputs


def contract_of(*inputs: Tensor, outputs: tuple[Tensor, ...] = ()) -> Contract:
    outputs = outputs or (Tensor(name="y", dtype="float32", shape=("batch",)),)
    return Contract(inputs=inputs, outputs=outputs)


IMU = Tensor(
    name="imu",
    dtype="float32",
    shape=("batch", 4, 2),
    channels=(
        Channel(name="acc_x", unit="m/s2", low=-20.0, high=20.0),
        Channel(name="gyro_x", unit="rad/s", high=5.0),
    ),
)
VECTOR = Tensor(name="x", dtype="float32", shape=("batch", 3), low=-1.0, high=1.0, unit="V")


def imu(rows: int = 1) -> np.ndarray:
    return np.zeros((rows, 4, 2), np.float32)


def test_in_contract_arrays_pass() -> None:
    check_inputs(contract_of(IMU, VECTOR), {"imu": imu(3), "x": np.ones((3, 3), np.float32)})


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, ["input 'imu' is missing", "takes ['imu']"]),
        ({"imu": imu(), "extra": imu()}, ["input 'extra' is unknown", "got ['extra', 'imu']"]),
        ({"other": imu()}, ["input 'imu' is missing", "got ['other']"]),
        ({"imu": imu().astype(np.float64)}, ["input 'imu' is float64", "expected float32"]),
        ({"imu": imu()[0]}, ["shape [4, 2]", "expected ['batch', 4, 2]"]),
        ({"imu": imu()[:, :3]}, ["shape [1, 3, 2]"]),
        ({"imu": imu(0)}, ["shape [0, 4, 2]", "from 1"]),
    ],
)
def test_what_is_wrong_is_named(arrays: dict[str, np.ndarray], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        check_inputs(contract_of(IMU), arrays)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("value", "place", "words"),
    [
        (math.nan, (0, 2, 1), ["'imu'[0, 2, 1] (gyro_x) is nan", "finite"]),
        (-math.inf, (0, 0, 1), ["(gyro_x) is -inf"]),
        (21.0, (0, 3, 0), ["(acc_x) is 21 m/s2, expected -20 to 20 m/s2"]),
        (5.5, (0, 1, 1), ["(gyro_x) is 5.5 rad/s", "to 5 rad/s"]),
    ],
)
def test_value_and_channel_are_named(
    value: float, place: tuple[int, ...], words: list[str]
) -> None:
    array = imu()
    array[place] = value
    with pytest.raises(InputError) as caught:
        check_inputs(contract_of(IMU), {"imu": array})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_limits_hold_in_the_tensors_own_precision() -> None:
    tensor = Tensor(name="x", dtype="float32", shape=("n",), low=0.1, high=0.7)
    check_inputs(contract_of(tensor), {"x": np.array([0.1, 0.7], np.float32)})


def test_inputs_of_one_request_have_the_same_rows() -> None:
    with pytest.raises(InputError, match=r"'x' has batch 3, expected 2 as in input 'imu'"):
        check_inputs(contract_of(IMU, VECTOR), {"imu": imu(2), "x": np.ones((3, 3), np.float32)})


@pytest.mark.parametrize("kind", ["O", "S", "U"])
def test_texts_have_no_range(kind: str) -> None:
    tensor = Tensor(name="t", dtype="string", shape=("n",))
    check_inputs(contract_of(tensor), {"t": np.array(["a"]).astype(kind)})


def test_numbers_are_no_texts() -> None:
    tensor = Tensor(name="t", dtype="string", shape=("n",))
    with pytest.raises(InputError, match="expected string"):
        check_inputs(contract_of(tensor), {"t": np.array([1])})


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
def test_types_without_limits_take_all_their_values(dtype: str) -> None:
    tensor = Tensor(name="x", dtype=dtype, shape=("n",))
    check_inputs(contract_of(tensor), {"x": np.array([0, 1], dtype)})


def test_limits_hold_for_integers() -> None:
    tensor = Tensor(name="x", dtype="int32", shape=("n",), low=0, high=10)
    check_inputs(contract_of(tensor), {"x": np.array([0, 10], np.int32)})
    with pytest.raises(InputError, match="is 11, expected 0 to 10"):
        check_inputs(contract_of(tensor), {"x": np.array([0, 11], np.int32)})


def test_huge_finite_values_are_no_infinity() -> None:
    tensor = Tensor(name="x", dtype="float64", shape=("n",))
    check_inputs(contract_of(tensor), {"x": np.full(10, 1.7e308)})


floats = st.one_of(
    st.floats(-2, 2, width=32), st.sampled_from([math.nan, math.inf, -math.inf, 1.0, -1.0, 3e38])
)


@given(
    array=st.sampled_from([1, 8, 40]).flatmap(
        lambda rows: hnp.arrays(np.float32, (rows, 3), elements=floats)
    ),
    low=st.sampled_from([None, -1.0]),
    high=st.sampled_from([None, 1.0]),
    channel_high=st.sampled_from([None, 0.5]),
)
def test_check_agrees_with_a_plain_loop(
    array: np.ndarray, low: float | None, high: float | None, channel_high: float | None
) -> None:
    channels = tuple(
        Channel(name=name, high=channel_high if name == "b" else None) for name in "abc"
    )
    tensor = Tensor(
        name="x", dtype="float32", shape=("n", 3), low=low, high=high, channels=channels
    )

    def is_good(value: float, channel: int) -> bool:
        limits = [bound for bound in (high, channel_high if channel == 1 else None) if bound]
        return (
            math.isfinite(value)
            and (low is None or value >= low)
            and all(value <= limit for limit in limits)
        )

    expected = all(is_good(float(row[c]), c) for row in array for c in range(3))
    try:
        compile_checks(contract_of(tensor))({"x": array})
        accepted = True
    except InputError:
        accepted = False
    assert accepted == expected


SCORES = Tensor(name="p", dtype="float32", shape=("batch", 2))


def test_only_the_contracts_outputs_are_given() -> None:
    scores = np.zeros((0, 2), np.float32)
    chosen = select_outputs(contract_of(IMU, outputs=(SCORES,)), {"p": scores, "inner": scores})
    assert list(chosen) == ["p"]


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"p": np.zeros((1, 2))},
        {"p": np.zeros((1, 3), np.float32)},
        {"p": np.zeros(2, np.float32)},
    ],
)
def test_an_answer_out_of_contract_is_the_devices_error(outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(DeviceError, match="output 'p'"):
        select_outputs(contract_of(IMU, outputs=(SCORES,)), outputs)


def test_channels_of_an_integer_tensor_with_one_sided_limits_are_checked() -> None:
    channels = (Channel(name="a", low=1), Channel(name="b", low=1))
    tensor = Tensor(name="x", dtype="uint8", shape=("batch", 2), channels=channels)
    limited = Contract(inputs=(tensor,), outputs=(tensor,))
    check_inputs(limited, {"x": np.array([[1, 255]], np.uint8)})
    with pytest.raises(InputError, match=r"'x'\[0, 1\] \(b\) is 0"):
        check_inputs(limited, {"x": np.array([[1, 0]], np.uint8)})


@pytest.mark.parametrize("shape", [("batch", 3), (3,), ()])
def test_a_bool_is_zero_or_one(shape: tuple[int | str, ...]) -> None:
    flags = contract_of(Tensor(name="x", dtype="bool", shape=shape))
    sizes = tuple(2 if isinstance(size, str) else size for size in shape)
    for byte in (0, 1):
        check_inputs(flags, {"x": np.full(sizes, byte, np.uint8).view(np.bool_)})
    for byte in (2, 255):
        with pytest.raises(InputError, match="neither 0 nor 1"):
            check_inputs(flags, {"x": np.full(sizes, byte, np.uint8).view(np.bool_)})
