from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgewright.errors import InputError
from edgewright.workbench.convert.formats import FORMATS
from edgewright.workbench.convert.readiness import readiness


def with_odd_ends(tmp_path: Path, middle: str = "Relu") -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cos", ["x"], ["a"], name="odd_start"),
        helper.make_node("Relu", ["a"], ["b"], name="first"),
        helper.make_node(middle, ["b"], ["c"], name="middle"),
        helper.make_node("Sigmoid", ["c"], ["d"], name="last"),
        helper.make_node("Sin", ["d"], ["y"], name="odd_end"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, 8, 8])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_operators_at_the_rim_can_be_cut_off(tmp_path: Path) -> None:
    (found,) = readiness(with_odd_ends(tmp_path), ["hailo"])
    assert [one.node for one in found.refused] == ["odd_start", "odd_end"]
    assert (found.start, found.end, found.inner) == (("a",), ("d",), 0)
    assert found.verdict == "ready when cut"
    assert "Hailo Dataflow Compiler" in found.missing


def test_an_operator_inside_is_named_and_no_cut_is_promised(tmp_path: Path) -> None:
    (found,) = readiness(with_odd_ends(tmp_path, "Sign"), ["hailo"])
    assert found.inner == 1
    assert found.verdict == "not ready: 1 nodes inside"
    assert any("no operator Sign" in one.reason for one in found.refused)


def test_a_convolution_over_time_is_said_to_be_rewritten(model: Path) -> None:
    (found,) = readiness(onnx.load(model), ["rknn"])
    assert found.rewritten == ("conv: Conv1d as Conv2d",)


def test_an_unknown_format_is_refused(model: Path) -> None:
    with pytest.raises(InputError, match="unknown format"):
        readiness(onnx.load(model), ["hallo"])


def test_all_stands_for_every_format_whose_toolchain_is_here_or_not(tmp_path: Path) -> None:
    found = readiness(with_odd_ends(tmp_path), ["all"])
    assert [one.format for one in found] == list(FORMATS)
