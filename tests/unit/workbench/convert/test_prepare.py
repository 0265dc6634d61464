import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.errors import InputError
from edgewright.workbench.convert.comparing import unoptimised
from edgewright.workbench.convert.prepare import cut, with_batch, with_four_dimensions


def residual_net() -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], name="turn", perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "w1", "b1"], ["c1"], name="conv1", pads=[4, 0]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="conv2", dilations=[2], pads=[4, 0]),
        helper.make_node("Mul", ["c2", "gain"], ["m"], name="gain"),
        helper.make_node("Add", ["m", "r1"], ["a"], name="add"),
        helper.make_node("MaxPool", ["a"], ["p"], name="pool", kernel_shape=[2], strides=[2]),
        helper.make_node("GlobalAveragePool", ["p"], ["g"], name="mean"),
        helper.make_node("Flatten", ["g"], ["y"], name="flat"),
    ]
    stored = {
        "w1": rng.normal(size=(8, 3, 5)).astype(np.float32),
        "b1": rng.normal(size=8).astype(np.float32),
        "w2": rng.normal(size=(8, 8, 3)).astype(np.float32),
        "gain": rng.normal(size=(8, 1)).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 20, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_convolutions_over_time_become_one_region_of_four_dimensions() -> None:
    wide = with_four_dimensions(residual_net())
    assert kinds(wide).count("Unsqueeze") == 1
    assert kinds(wide).count("Squeeze") == 1
    weights = {t.name: t for t in wide.graph.initializer}
    convolutions = [node for node in wide.graph.node if node.op_type == "Conv"]
    assert all(len(weights[node.input[1]].dims) == 4 for node in convolutions)


def test_the_region_computes_what_the_graph_did() -> None:
    x = {"x": np.random.default_rng(2).normal(size=(5, 20, 3)).astype(np.float32)}
    before = unoptimised(residual_net())(x)["y"]
    after = unoptimised(with_four_dimensions(residual_net()))(x)["y"]
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_graph_without_convolutions_over_time_stays_as_it_is() -> None:
    flat = cut(residual_net(), start=["g"])
    assert with_four_dimensions(flat) is flat


def test_a_free_batch_becomes_one_row_and_shapes_follow() -> None:
    fixed = with_batch(residual_net())
    shape = fixed.graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 8]


def test_another_free_axis_is_named() -> None:
    model = residual_net()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "time"
    with pytest.raises(InputError, match=r"axis 1 \(time\) is free"):
        with_batch(model)


def test_a_graph_is_cut_at_tensors_and_an_unknown_one_is_named() -> None:
    part = cut(residual_net(), start=["t"], end=["a"])
    assert kinds(part) == ["Conv", "Relu", "Conv", "Mul", "Add"]
    with pytest.raises(InputError, match="no tensor 'zz'"):
        cut(residual_net(), end=["zz"])
