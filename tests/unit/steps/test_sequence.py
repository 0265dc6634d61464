import numpy as np
import pytest

from edgewright.contract import (
    Argmax,
    ChannelOrder,
    Contract,
    Crop,
    Labels,
    Mask,
    Nms,
    Normalise,
    Resample,
    Resize,
    Softmax,
    Step,
    Tensor,
    Threshold,
    Window,
)
from edgewright.errors import DeviceError, InputError
from edgewright.steps import apply_step, postprocess, preprocess

ANY_IN = (Tensor(name="x", dtype="float32", shape=("batch", 2)),)
ANY_OUT = (Tensor(name="y", dtype="float32", shape=("batch", 2)),)

SAMPLES = np.arange(12, dtype=np.float32).reshape(6, 2)
IMAGES = np.zeros((1, 4, 4, 3), np.uint8)
SCORES = np.array([[0.1, 0.9]], np.float32)

EVERY_STEP: list[tuple[Step, np.ndarray, tuple[int, ...], str]] = [
    (Resample(tensor="x", from_hz=2, to_hz=1), SAMPLES, (3, 2), "float32"),
    (Window(tensor="x", length=4, hop=2), SAMPLES, (2, 4, 2), "float32"),
    (Normalise(tensor="x", mean=(0, 1), std=(1, 2)), SAMPLES, (6, 2), "float32"),
    (Resize(tensor="x", height=2, width=3), IMAGES, (1, 2, 3, 3), "uint8"),
    (Crop(tensor="x", height=2, width=3), IMAGES, (1, 2, 3, 3), "uint8"),
    (ChannelOrder(tensor="x"), IMAGES, (1, 3, 4, 4), "uint8"),
    (Softmax(tensor="x"), SCORES, (1, 2), "float32"),
    (Argmax(tensor="x"), SCORES, (1,), "int64"),
    (Labels(tensor="x"), np.array([1]), (1,), "<U3"),
    (Threshold(tensor="x", at=0.5), SCORES, (1, 2), "bool"),
    (Mask(tensor="x"), np.zeros((1, 3, 2, 2), np.float32), (1, 2, 2), "uint8"),
    (Nms(tensor="x", scores="s"), np.zeros((1, 2, 4), np.float32), (1, 2), "bool"),
]


def test_the_table_holds_every_step() -> None:
    assert {type(step) for step, *_ in EVERY_STEP} == set(Step.__args__)


@pytest.mark.parametrize(("step", "array", "shape", "dtype"), EVERY_STEP)
def test_each_step_runs_and_leaves_its_input_alone(
    step: Step, array: np.ndarray, shape: tuple[int, ...], dtype: str
) -> None:
    arrays = {"x": array, "s": SCORES}
    before = array.copy()
    result = apply_step(step, arrays, ("sit", "run"))["x"]
    assert (result.shape, str(result.dtype)) == (shape, dtype)
    assert arrays["x"] is array
    np.testing.assert_array_equal(array, before)


def test_a_result_goes_under_its_new_name() -> None:
    result = apply_step(Argmax(tensor="x", into="best"), {"x": SCORES})
    assert sorted(result) == ["best", "x"]


def test_a_missing_tensor_is_named_with_its_step() -> None:
    with pytest.raises(InputError, match=r"step argmax reads tensor 'z'.*there are \['x'\]"):
        apply_step(Argmax(tensor="z"), {"x": SCORES})
    with pytest.raises(InputError, match="step nms reads tensor 's'"):
        apply_step(Nms(tensor="x", scores="s"), {"x": SCORES})


def test_an_error_names_step_and_tensor() -> None:
    with pytest.raises(InputError, match=r"step crop: tensor 'x' has shape \[1, 2\]"):
        apply_step(Crop(tensor="x", height=1, width=1), {"x": SCORES})


def test_a_recording_too_short_for_a_window_is_refused() -> None:
    with pytest.raises(InputError, match="has 6 samples, expected at least 7"):
        apply_step(Window(tensor="x", length=7, hop=1), {"x": SAMPLES})


def test_steps_run_in_order() -> None:
    contract = Contract(
        inputs=ANY_IN,
        outputs=ANY_OUT,
        preprocess=(
            Resample(tensor="x", from_hz=2, to_hz=1),
            Window(tensor="x", length=2, hop=1),
            Normalise(tensor="x", mean=(0.0,), std=(2.0,)),
        ),
    )
    result = preprocess(contract, {"x": SAMPLES})
    assert result["x"].tolist() == [[[0, 0.5], [2, 2.5]], [[2, 2.5], [4, 4.5]]]


def test_the_engine_takes_only_the_new_name() -> None:
    steps = (Normalise(tensor="x", into="scaled", mean=(0.0,), std=(1.0,)),)
    contract = Contract(inputs=ANY_IN, outputs=ANY_OUT, preprocess=steps)
    assert list(preprocess(contract, {"x": SAMPLES})) == ["scaled"]


def test_without_steps_arrays_pass_unchanged() -> None:
    contract = Contract(inputs=ANY_IN, outputs=ANY_OUT)
    assert preprocess(contract, {"x": SCORES})["x"] is SCORES
    assert postprocess(contract, {"y": SCORES})["y"] is SCORES


def test_a_failing_postprocess_is_the_devices_error() -> None:
    contract = Contract(
        inputs=ANY_IN, outputs=ANY_OUT, postprocess=(Labels(tensor="y"),), labels=("a",)
    )
    with pytest.raises(DeviceError, match="postprocessing failed: step labels: tensor 'y'"):
        postprocess(contract, {"y": np.array([7])})
