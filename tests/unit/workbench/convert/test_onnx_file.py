from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.errors import InputError
from edgewright.workbench.convert import (
    cleaned,
    onnx_bytes,
    parse_onnx,
    read_onnx,
    whole_onnx,
    write_onnx,
)


def relu_model(*, domain: str = "", op_type: str = "Relu") -> onnx.ModelProto:
    node = helper.make_node(op_type, ["x"], ["y"], name="only", domain=domain)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
    )
    opsets = [helper.make_opsetid("", 20)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_written_model_reads_back_with_the_same_bytes(tmp_path: Path) -> None:
    content = write_onnx(relu_model(), tmp_path / "m.onnx")
    assert onnx_bytes(read_onnx(tmp_path / "m.onnx")) == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is a text file\n",
        b'{"a": 1}',
        b"\x08\x0a",
        b"\x00" * 64,
        b"ver https://git-lfs.github.com/spec/v1",
    ],
)
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="not an ONNX model"):
        parse_onnx(content, source="m.onnx")


def test_a_truncated_model_is_refused() -> None:
    content = onnx_bytes(relu_model())
    with pytest.raises(InputError):
        parse_onnx(content[: len(content) // 2], source="m.onnx")


def test_a_custom_operator_is_refused_by_name() -> None:
    model = relu_model(domain="acme.ops", op_type="Frobnicate")
    with pytest.raises(InputError, match=r"node 'only' uses the custom operator acme.ops.Frob"):
        parse_onnx(onnx_bytes(model), source="m.onnx")


@pytest.fixture
def with_weights_beside(tmp_path: Path) -> Path:
    weight = numpy_helper.from_array(np.ones((300, 300), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 300])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin")
    return path


def test_weights_in_another_file_of_the_folder_are_taken_in(with_weights_beside: Path) -> None:
    (weight,) = read_onnx(with_weights_beside).graph.initializer
    assert weight.data_location == TensorProto.DEFAULT
    assert np.array_equal(numpy_helper.to_array(weight), np.ones((300, 300), np.float32))


def test_a_whole_model_is_left_alone_and_another_made_whole(with_weights_beside: Path) -> None:
    content = whole_onnx(with_weights_beside)
    whole = with_weights_beside.with_name("whole.onnx")
    whole.write_bytes(content)
    assert read_onnx(whole, takes_in=False) == read_onnx(with_weights_beside)
    assert whole_onnx(whole) == b""


def test_weights_that_are_absent_or_cut_off_are_refused_by_their_file(
    with_weights_beside: Path,
) -> None:
    weights = with_weights_beside.with_name("weights.bin")
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(InputError, match="holds 359996 of the 360000 bytes of 'w'"):
        read_onnx(with_weights_beside)
    weights.unlink()
    with pytest.raises(InputError, match=r"weights\.bin: no such file"):
        read_onnx(with_weights_beside)


def edit_weight(
    path: Path,
    *,
    location: str = "weights.bin",
    rows: int = 300,
    offset: str = "0",
    length: str | None = None,
) -> None:
    model = onnx.load_model_from_string(path.read_bytes())
    tensor = model.graph.initializer[0]
    tensor.dims[0] = rows
    told = {"location": location, "offset": offset, "length": length or str(abs(rows) * 1200)}
    for entry in tensor.external_data:
        entry.value = told.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("rows", "offset", "length"),
    [(300, "banana", None), (300, "-4", None), (-300, "0", None), (300, "0", "360004")],
    ids=["word", "minus", "rows", "length"],
)
def test_weights_that_lie_nowhere_are_refused(
    with_weights_beside: Path, rows: int, offset: str, length: str | None
) -> None:
    edit_weight(with_weights_beside, rows=rows, offset=offset, length=length)
    with pytest.raises(InputError, match="where weights 'w' lie beside it cannot be read"):
        read_onnx(with_weights_beside)


def test_weights_outside_of_the_folder_are_never_read(with_weights_beside: Path) -> None:
    edit_weight(with_weights_beside, location="../weights.bin")
    with pytest.raises(InputError, match="outside of its folder"):
        read_onnx(with_weights_beside)


def test_three_gigabytes_of_weights_are_refused_before_they_are_read(
    with_weights_beside: Path,
) -> None:
    edit_weight(with_weights_beside, rows=2_500_000)
    with pytest.raises(InputError, match="no ONNX file can hold"):
        read_onnx(with_weights_beside)


def test_cleaning_removes_notes_and_unused_weights_only() -> None:
    model = relu_model()
    model.doc_string = "made in /home/someone/project"
    model.graph.node[0].doc_string = "/home/someone/project/net.py:12"
    note = model.graph.node[0].metadata_props.add()
    note.key, note.value = "stack", "/home/someone/project/net.py"
    model.graph.initializer.append(numpy_helper.from_array(np.ones(5, np.float32), "unused"))
    clean = cleaned(model)
    assert b"/home" not in onnx_bytes(clean)
    assert not clean.graph.initializer
    assert [node.op_type for node in clean.graph.node] == ["Relu"]
    assert model.doc_string, "the given model is left as it was"


def test_cleaning_puts_nodes_into_the_order_of_execution() -> None:
    model = relu_model()
    second = helper.make_node("Neg", ["y"], ["z"], name="second")
    model.graph.node.insert(0, second)
    model.graph.output[0].name = "z"
    with pytest.raises(InputError, match="topologically sorted"):
        parse_onnx(onnx_bytes(model), source="m.onnx")
    clean = parse_onnx(onnx_bytes(cleaned(model)), source="m.onnx")
    assert [node.name for node in clean.graph.node] == ["only", "second"]
