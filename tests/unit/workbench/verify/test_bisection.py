from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.verify.bisection import first_divergence

X = {"x": np.random.default_rng(1).normal(size=(6, 3, 8)).astype(np.float32)}
Change = Callable[[onnx.GraphProto], None]


def small_net() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(4, 3, 3)).astype(np.float32),
        "w2": rng.normal(size=(4, 4, 3)).astype(np.float32),
        "w3": rng.normal(size=(4, 5)).astype(np.float32),
        "two": np.array(2.0, np.float32),
        "axis": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["scaled"], name="scale"),
        helper.make_node("Conv", ["scaled", "w1"], ["c1"], name="conv1", pads=[1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="conv2", pads=[1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["sum"], name="add"),
        helper.make_node("ReduceMean", ["sum", "axis"], ["mean"], name="pool", keepdims=0),
        helper.make_node("MatMul", ["mean", "w3"], ["y"], name="head"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def change_weight(name: str) -> Change:
    def change(graph: onnx.GraphProto) -> None:
        tensor = next(t for t in graph.initializer if t.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[0] += 0.5
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return change


def replace_relu(graph: onnx.GraphProto) -> None:
    graph.node[2].op_type = "Elu"


def drop_scale(graph: onnx.GraphProto) -> None:
    graph.node[1].input[0] = "x"
    del graph.node[0]


def insert_flip(graph: onnx.GraphProto) -> None:
    flip = helper.make_node("Neg", ["c2"], ["flipped"], name="flip")
    graph.node[4].input[0] = "flipped"
    graph.node.insert(4, flip)


@pytest.mark.parametrize(
    ("change", "node"),
    [
        (change_weight("w1"), "conv1"),
        (change_weight("w2"), "conv2"),
        (change_weight("w3"), "head"),
        (replace_relu, "relu1"),
        (drop_scale, "conv1"),
        (insert_flip, "flip"),
    ],
)
@pytest.mark.parametrize("renamed", [False, True])
def test_the_changed_node_is_named(
    tmp_path: Path, change: Change, node: str, *, renamed: bool
) -> None:
    reference, candidate = small_net(), small_net()
    change(candidate.graph)
    if renamed:
        rename_inner_tensors(candidate.graph)
    onnx.save(reference, tmp_path / "a.onnx")
    onnx.save(candidate, tmp_path / "b.onnx")
    found = first_divergence(
        tmp_path / "a.onnx", tmp_path / "b.onnx", X, open_file=OnnxRuntime().open
    )
    assert found
    assert found.node == node
    if change is drop_scale:
        assert found.missing == ("scale",)


def rename_inner_tensors(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name not in {"x", "y", "w1", "w2", "w3", "two", "axis"}:
                    names[index] = f"other_{name}"


def test_equal_models_part_nowhere(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        onnx.save(small_net(), tmp_path / name)
    found = first_divergence(
        tmp_path / "a.onnx", tmp_path / "b.onnx", X, open_file=OnnxRuntime().open
    )
    assert found is None
