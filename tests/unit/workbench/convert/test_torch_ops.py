"""Operators in torch against ONNX Runtime, one small graph each."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.onnx_torch import OnnxModule

RNG = np.random.default_rng(3)


def graph(
    operator: str,
    shape: list[int],
    stored: list[np.ndarray],
    *,
    outputs: int = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    names = [f"w{index}" if len(array) else "" for index, array in enumerate(stored)]
    node = helper.make_node(
        operator, ["x", *names], [f"y{index}" for index in range(outputs)], **attributes
    )
    made = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"y{index}", 1, None) for index in range(outputs)],
        [
            numpy_helper.from_array(array, name)
            for array, name in zip(stored, names, strict=True)
            if name
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32) * 0.4


NOTHING = np.zeros(0, np.float32)

CASES = {
    "gru": graph(
        "GRU", [6, 2, 5], [weight(1, 12, 5), weight(1, 12, 4), weight(1, 24)], outputs=2,
        hidden_size=4,
    ),
    "gru, torch's kind, both ways": graph(
        "GRU", [6, 2, 5], [weight(2, 12, 5), weight(2, 12, 4), weight(2, 24)], outputs=2,
        hidden_size=4, linear_before_reset=1, direction="bidirectional",
    ),
    "lstm from a state": graph(
        "LSTM", [6, 2, 5],
        [
            weight(1, 16, 5), weight(1, 16, 4), weight(1, 32), NOTHING, weight(1, 2, 4),
            weight(1, 2, 4),
        ],
        outputs=3, hidden_size=4,
    ),
    "lstm backwards": graph(
        "LSTM", [6, 2, 5], [weight(1, 16, 5), weight(1, 16, 4)], outputs=3, hidden_size=4,
        direction="reverse",
    ),
    "average that leaves padding out": graph(
        "AveragePool", [2, 3, 7, 7], [], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1]
    ),
    "average that counts padding": graph(
        "AveragePool", [2, 3, 7], [], kernel_shape=[3], pads=[1, 1], count_include_pad=1
    ),
    "same_upper": graph(
        "Conv", [2, 3, 8, 7], [weight(4, 3, 3, 2)], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "same_lower": graph("MaxPool", [2, 3, 8], [], kernel_shape=[2], auto_pad="SAME_LOWER"),
    "clip": graph("Clip", [2, 3], [np.array([-0.5], np.float32).reshape(1)], outputs=1),
    "depth to space": graph("DepthToSpace", [1, 8, 2, 3], [], blocksize=2),
    "instance norm": graph("InstanceNormalization", [2, 3, 9], [weight(3), weight(3)]),
    "argmax": graph("ArgMax", [2, 5], [], axis=1, keepdims=0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_torch_answers_like_onnxruntime(name: str) -> None:
    model = CASES[name]
    if name == "clip":
        model.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(np.array(-0.5, np.float32), "w0")
        )
    if name == "argmax":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    x = RNG.normal(size=shape).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    with torch.no_grad():
        got = OnnxModule(model)(torch.from_numpy(x))
    answers = got if isinstance(got, tuple) else (got,)
    for want, have in zip(expected, answers, strict=True):
        np.testing.assert_allclose(have.numpy(), want, atol=2e-6)


def test_a_recurrent_layer_of_an_unusual_kind_is_refused() -> None:
    model = graph(
        "GRU", [6, 2, 5], [weight(1, 12, 5), weight(1, 12, 4)], outputs=2, hidden_size=4,
        activations=["Relu", "Tanh"],
    )  # fmt: skip
    with pytest.raises(UnavailableError, match="Relu"):
        OnnxModule(model)(torch.zeros(6, 2, 5))
