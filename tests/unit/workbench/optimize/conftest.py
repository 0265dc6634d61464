"""A small network with Conv1d, for tests of what is done to graphs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def conv_net() -> onnx.ModelProto:
    """Conv, Relu, Conv, mean over time, Gemm; seeded weights."""
    classes = 4
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(16, 6, 5)) * 0.3,
        "b1": rng.normal(size=16) * 0.1,
        "w2": rng.normal(size=(16, 16, 3)) * 0.2,
        "w3": rng.normal(size=(16, classes)),
        "b3": rng.normal(size=classes) * 0.1,
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "w1", "b1"], ["c1"], name="first", pads=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="second", pads=[4, 0], dilations=[2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("ReduceMean", ["r2", "axes"], ["m"], keepdims=0),
        helper.make_node("Gemm", ["m", "w3", "b3"], ["y"], name="head"),
    ]
    stored = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()]
    stored.append(numpy_helper.from_array(np.array([2], np.int64), "axes"))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 32, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", classes])],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
