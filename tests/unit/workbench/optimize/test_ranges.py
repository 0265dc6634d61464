from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgewright.errors import InputError
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.optimize.ranges import Observation, observe, ranges_by


def scaled(operator: str = "Relu") -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node(operator, ["twice"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 50])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 50])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_every_float_tensor_is_observed_over_all_rows() -> None:
    x = np.random.default_rng(0).normal(size=(70, 50)).astype(np.float32)
    x[-1, -1] = 99.0
    seen = observe(scaled(), {"x": x}, OnnxRuntime().open)
    assert set(seen) == {"x", "twice", "y"}
    assert seen["twice"].high == 198.0
    assert seen["y"].low == 0.0
    assert seen["x"].counts.sum() == x.size


def test_a_model_that_overflows_on_calibration_data_is_refused() -> None:
    x = np.full((8, 50), -1.0, np.float32)
    with pytest.raises(InputError, match="'y' holds NaN or infinity"):
        observe(scaled("Log"), {"x": x}, OnnxRuntime().open)


def observation(values: np.ndarray) -> Observation:
    low, high = float(values.min()), float(values.max())
    return Observation(low, high, np.histogram(values, 2048, (low, high))[0])


def test_calibrators_clip_a_far_outlier_and_min_max_does_not() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    values[0] = 60.0
    seen = {"t": observation(values)}
    assert ranges_by("minmax", seen)["t"][1] == pytest.approx(60.0)
    for calibrator in ("percentile", "entropy", "mse"):
        low, high = ranges_by(calibrator, seen)["t"]
        assert 3.0 < high < (59.0 if calibrator == "mse" else 30.0), calibrator
        assert low < -3.0, calibrator


def test_a_constant_tensor_keeps_its_value() -> None:
    seen = {"t": Observation(2.0, 2.0, np.zeros(2048, np.int64))}
    for calibrator in ("minmax", "percentile", "entropy", "mse"):
        assert ranges_by(calibrator, seen)["t"] == (2.0, 2.0)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("calibrator", ["minmax", "percentile", "entropy", "mse"])
def test_values_of_one_sign_far_from_zero_have_a_range(sign: float, calibrator: str) -> None:
    values = sign * np.random.default_rng(0).uniform(5.0, 5.5, 10_000)
    low, high = ranges_by(calibrator, {"t": observation(values)})["t"]
    assert values.min() <= low < high <= values.max()


def test_no_file_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    observe(scaled(), {"x": np.ones((8, 50), np.float32)}, OnnxRuntime().open)
    assert not list(tmp_path.iterdir())
