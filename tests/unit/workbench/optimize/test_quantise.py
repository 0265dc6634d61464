"""What ONNX Runtime's quantiser gets wrong must not reach a user."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.optimize.quantise import clips_of_outputs, static_int8
from edgewright.workbench.optimize.variants import StaticInt8


def embedding_and_scores() -> onnx.ModelProto:
    """`latent` is an output, and a Relu reads it too."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 6)), rng.normal(size=(6, 3))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w1"], ["latent"], name="embed"),
            helper.make_node("Relu", ["latent"], ["positive"], name="relu"),
            helper.make_node("MatMul", ["positive", "w2"], ["logits"], name="head"),
        ],
        "two_outputs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [
            helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", 6]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3]),
        ],
        [
            numpy_helper.from_array(first.astype(np.float32), "w1"),
            numpy_helper.from_array(second.astype(np.float32), "w2"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_negative_values_of_an_output_survive_when_a_relu_reads_it_too(tmp_path: Path) -> None:
    model = embedding_and_scores()
    assert clips_of_outputs(model) == ("relu",)
    (tmp_path / "fp32.onnx").write_bytes(model.SerializeToString())
    x = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)
    expected = OnnxRuntime().open(tmp_path / "fp32.onnx").run({"x": x})
    relu = np.maximum(expected["latent"], 0)
    ranges = {
        name: (float(array.min()), float(array.max()))
        for name, array in {"x": x, "positive": relu, **expected}.items()
    }
    recipe = StaticInt8(activations="u8", weights="s8", reduce_range=True)
    (tmp_path / "int8.onnx").write_bytes(static_int8(model, ranges, recipe).SerializeToString())
    got = OnnxRuntime().open(tmp_path / "int8.onnx").run({"x": x})
    assert expected["latent"].min() < -1.0
    np.testing.assert_allclose(got["latent"], expected["latent"], atol=0.2)
