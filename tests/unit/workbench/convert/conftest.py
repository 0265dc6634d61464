from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution over time with a free batch, and a shape that the graph computes."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Shape", ["r"], ["shape"], name="shape"),
        helper.make_node("Gather", ["shape", "first"], ["batch"], name="batch"),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0, name="target"),
        helper.make_node("Reshape", ["r", "target"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "v"], ["y"], name="head"),
    ]
    stored = {
        "w": rng.normal(size=(4, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(32, 5)).astype(np.float32),
        "first": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    made.graph.node[0].doc_string = "/home/someone/net.py"
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    return path
