from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.errors import GateError, InputError, UnavailableError
from edgewright.workbench.convert import FORMATS, convert, find_format
from edgewright.workbench.convert.formats import REASONED, WRITERS
from edgewright.workbench.convert.gates import GATES


@pytest.fixture
def model(tmp_path: Path) -> Path:
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


@pytest.mark.parametrize("format_name", ["onnx", "torch-export", "torchscript"])
def test_a_written_file_is_real_repeatable_and_holds_no_local_path(
    model: Path, tmp_path: Path, format_name: str
) -> None:
    (first,) = convert(model, [format_name], tmp_path / "a")
    (second,) = convert(model, [format_name], tmp_path / "b")
    assert first.sha256 == second.sha256
    content = Path(first.path).read_bytes()
    assert len(content) == first.size_bytes
    assert b"/home/" not in content
    assert str(tmp_path).encode() not in content
    assert (first.inputs, first.outputs) == (("x",), ("y",))


def test_nothing_is_written_when_one_format_cannot_be(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Hailo Dataflow Compiler"):
        convert(model, ["onnx", "hailo"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_name", sorted(set(FORMATS) - set(WRITERS)))
def test_a_format_that_cannot_be_made_here_says_what_is_missing(
    model: Path, tmp_path: Path, format_name: str
) -> None:
    with pytest.raises(UnavailableError, match=r"need|not write"):
        convert(model, [format_name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_answers_otherwise_is_never_written(model: Path, tmp_path: Path) -> None:
    def other(arrays: object) -> dict[str, np.ndarray]:
        assert isinstance(arrays, dict)
        return {"y": np.ones((len(arrays["x"]), 5), np.float32)}

    with pytest.raises(GateError, match="parity of the onnx file"):
        convert(model, ["onnx"], tmp_path / "out", reference=other)
    assert not (tmp_path / "out").exists()


def test_an_operator_without_a_counterpart_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"], name="determinant")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, tmp_path / "det.onnx")
    with pytest.raises(UnavailableError, match="operator Det \\(node 'determinant'\\)"):
        convert(tmp_path / "det.onnx", ["torchscript"], tmp_path / "out")


def test_unknown_and_pointless_formats_are_explained() -> None:
    with pytest.raises(InputError, match="did you mean 'openvino'"):
        find_format("openvin")
    for name in REASONED:
        with pytest.raises(InputError, match=name):
            find_format(name)


def test_every_format_that_can_be_written_has_a_gate() -> None:
    assert set(WRITERS) <= set(GATES)
