"""Every recipe of the space is made for one small network and compared to it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgewright.errors import UnavailableError
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.convert import onnx_bytes, opset_of, parse_onnx
from edgewright.workbench.optimize.maker import OnnxMaker
from edgewright.workbench.optimize.rewrite import MIN_QUANTISED_OPSET, prepared, raised, with_conv2d
from edgewright.workbench.optimize.variants import (
    BASELINE,
    DynamicInt8,
    Plain,
    StaticInt8,
    VariantRecipe,
    everything,
    structures,
)

X = np.random.default_rng(0).normal(size=(48, 32, 6)).astype(np.float32)


def answers(content: bytes, folder: Path) -> np.ndarray:
    path = folder / "m.onnx"
    path.write_bytes(content)
    session = OnnxRuntime().open(path)
    try:
        return session.run({"x": X})["y"]
    finally:
        session.close()


@pytest.fixture
def maker(conv_net: onnx.ModelProto) -> OnnxMaker:
    return OnnxMaker(conv_net, {"x": X}, OnnxRuntime().open)


def test_every_structure_is_close_to_the_network_and_keeps_its_names(
    maker: OnnxMaker, tmp_path: Path
) -> None:
    expected = answers(maker.make(BASELINE), tmp_path)
    for recipe in structures():
        if recipe == Plain(kind="fp32 tidied"):
            continue  # this network is tidy
        content = maker.make(recipe)
        model = parse_onnx(content, source=recipe.name)
        assert [entry.name for entry in model.graph.input] == ["x"]
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        error = np.abs(answers(content, tmp_path) - expected).max() / np.abs(expected).max()
        limit = 1e-5 if "fp32" in recipe.name else 2e-3 if "fp16" in recipe.name else 0.2
        assert error < limit, recipe.name


def test_a_graph_is_tidied_only_when_there_is_something_to_tidy(
    conv_net: onnx.ModelProto, maker: OnnxMaker, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="nothing to tidy"):
        maker.make(Plain(kind="fp32 tidied"))
    untidy = onnx.ModelProto()
    untidy.CopyFrom(conv_net)
    untidy.graph.node[-1].input[0] = "twice"
    for made, read in (("once", "m"), ("twice", "once")):
        untidy.graph.node.insert(6, onnx.helper.make_node("Identity", [read], [made], name=made))
    nodes = sorted(untidy.graph.node[6:8], key=lambda node: node.name)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    for place, node in enumerate(copies):
        untidy.graph.node[6 + place].CopyFrom(node)
    content = OnnxMaker(untidy, {"x": X}, OnnxRuntime().open).make(Plain(kind="fp32 tidied"))
    assert len(parse_onnx(content, source="m").graph.node) < len(untidy.graph.node)
    expected = answers(maker.make(BASELINE), tmp_path)
    np.testing.assert_allclose(answers(content, tmp_path), expected, rtol=1e-4, atol=1e-5)


def test_the_same_recipe_gives_the_same_bytes(conv_net: onnx.ModelProto) -> None:
    recipe = StaticInt8(activations="u8", weights="s8", reduce_range=True, per_channel=True)
    first, second = (
        OnnxMaker(conv_net, {"x": X}, OnnxRuntime().open).make(recipe) for _ in range(2)
    )
    assert first == second


def test_seven_bit_weights_stay_within_seven_bits(maker: OnnxMaker) -> None:
    model = parse_onnx(
        maker.make(StaticInt8(activations="u8", weights="s8", reduce_range=True)), source="m"
    )
    arrays = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    ]
    assert arrays
    assert max(int(np.abs(array.astype(int)).max()) for array in arrays) <= 64


def test_nodes_that_stay_in_float_do(maker: OnnxMaker) -> None:
    recipe = StaticInt8(activations="u8", weights="s8", floats=("head",))
    model = parse_onnx(maker.make(recipe), source="m")
    head = next(node for node in model.graph.node if node.name == "head")
    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    assert producers.get(head.input[1], "stored") == "stored"
    assert "1-nodes-in-float" in recipe.name


def test_one_node_alone_can_be_quantised(maker: OnnxMaker) -> None:
    assert maker.nodes() == ("first", "second", "head")
    content = maker.make_only("second", StaticInt8(activations="u8", weights="s8"))
    model = parse_onnx(content, source="m")
    integers = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert any(list(tensor.dims) == [16, 16, 3] for tensor in integers)
    assert not any(list(tensor.dims) == [16, 6, 5] for tensor in integers)


def test_a_recipe_that_does_not_apply_says_why() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    maker = OnnxMaker(model, {"x": X[:, 0, :3]}, OnnxRuntime().open)
    for recipe in (Plain(kind="fp32 conv1d-as-conv2d"), Plain(kind="fp16 weights")):
        with pytest.raises(UnavailableError, match="the model has no"):
            maker.make(recipe)
    with pytest.raises(UnavailableError):
        maker.make(DynamicInt8(weights="s8"))


def test_names_of_recipes_are_unique() -> None:
    names = [recipe.name for recipe in everything()]
    assert len(names) == len(set(names))


def test_conv1d_becomes_conv2d_with_its_padding_and_dilation(conv_net: onnx.ModelProto) -> None:
    rewritten = with_conv2d(prepared(conv_net))
    assert rewritten is not None
    convs = [node for node in rewritten.graph.node if node.op_type == "Conv"]
    attributes = {a.name: list(a.ints) for a in convs[1].attribute}
    assert attributes["dilations"] == [1, 2]
    assert attributes["pads"] == [0, 4, 0, 0]
    assert "w1" not in {tensor.name for tensor in rewritten.graph.initializer}
    assert onnx_bytes(conv_net) == onnx_bytes(conv_net)


def old_net(opset: int) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    stored = {
        "w": 0.3 * rng.normal(size=(6, 128)),
        "b": np.zeros(128),
        "v": 0.1 * rng.normal(size=(128, 4)),
        "c": np.zeros(4),
    }
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        onnx.helper.make_node("Relu", ["h"], ["r"]),
        onnx.helper.make_node("Gemm", ["r", "v", "c"], ["s"]),
        onnx.helper.make_node("Softmax", ["s"], ["y"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "old",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 6])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 4])],
        [onnx.numpy_helper.from_array(a.astype(np.float32), n) for n, a in stored.items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=4)


@pytest.mark.parametrize("opset", [8, 11])
def test_integers_of_a_graph_older_than_they_are(opset: int, tmp_path: Path) -> None:
    rows = X[:, 0]
    maker = OnnxMaker(old_net(opset), {"x": rows}, OnnxRuntime().open)

    def ask(recipe: VariantRecipe) -> np.ndarray:
        (tmp_path / "m.onnx").write_bytes(maker.make(recipe))
        session = OnnxRuntime().open(tmp_path / "m.onnx")
        try:
            return session.run({"x": rows})["y"]
        finally:
            session.close()

    assert opset_of(parse_onnx(maker.make(BASELINE), source="m")) == opset
    floats = ask(BASELINE)
    for recipe in (
        StaticInt8(activations="u8", weights="s8", per_channel=True, reduce_range=True),
        StaticInt8(activations="u8", weights="s8", reduce_range=True),
        DynamicInt8(weights="s8", reduce_range=True),
        Plain(kind="int8 weights"),
    ):
        if recipe == Plain(kind="int8 weights"):
            assert opset_of(parse_onnx(maker.make(recipe), source="m")) == MIN_QUANTISED_OPSET
        assert np.abs(ask(recipe) - floats).max() < 0.1, recipe.name


def test_a_graph_that_cannot_be_raised_says_why() -> None:
    odd = old_net(8)
    odd.graph.node[1].op_type = "Scan"
    with pytest.raises(UnavailableError, match="operator set 8, integers want 13"):
        raised(odd)
