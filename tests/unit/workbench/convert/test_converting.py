import importlib.util
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgewright.chain.contract_file import read_contract
from edgewright.chain.engines import engine_for_format
from edgewright.contract import Contract, Tensor
from edgewright.errors import GateError, InputError, UnavailableError
from edgewright.workbench.convert import Given, Wishes, convert, find_format
from edgewright.workbench.convert.artefact import Artefact
from edgewright.workbench.convert.converting import _check_names
from edgewright.workbench.convert.formats import FORMATS, REASONED, WRITERS
from edgewright.workbench.convert.gates import GATES

Y = Tensor(name="y", dtype="float32", shape=("batch", 5))
CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 3, 8), low=-9.0, high=9.0),),
    outputs=(Y,),
    labels=tuple("abcde"),
)


@pytest.mark.parametrize("format_name", ["onnx", "openvino", "torch-export", "torchscript"])
def test_a_written_file_is_real_repeatable_and_holds_no_local_path(
    model: Path, tmp_path: Path, format_name: str
) -> None:
    if format_name == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("absent: openvino (make setup EXTRAS=openvino)")
    (first,) = convert(model, [format_name], tmp_path / "a", open_engine=engine_for_format)
    (second,) = convert(model, [format_name], tmp_path / "b", open_engine=engine_for_format)
    assert first.sha256 == second.sha256
    content = b"".join((tmp_path / "a" / name).read_bytes() for name in first.files)
    assert len(content) == first.size_bytes
    assert b"/home/" not in content
    assert str(tmp_path).encode() not in content
    assert (first.inputs, first.outputs) == (("x",), ("y",))
    assert first.parity == "verified"
    assert first.max_abs is not None
    assert first.max_abs < 1e-4


def test_the_contract_is_kept_beside_the_file(model: Path, tmp_path: Path) -> None:
    (record,) = convert(model, ["onnx"], tmp_path / "out", given=Given(contract=CONTRACT))

    assert Path(record.contract) == tmp_path / "out" / "net.contract.json"
    assert read_contract(Path(record.contract)) == CONTRACT


def test_a_contract_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    other = msgspec.structs.replace(CONTRACT, outputs=(msgspec.structs.replace(Y, name="z"),))
    with pytest.raises(InputError, match=r"reads \['z'\], .*net.onnx has \['y'\]"):
        convert(model, ["onnx"], tmp_path / "out", given=Given(contract=other))
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_when_one_format_cannot_be(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Hailo Dataflow Compiler"):
        convert(model, ["onnx", "hailo"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


VENDORS = ("edgetpu", "hailo", "qnn", "qualcomm-ai-hub", "rknn", "tensorrt", "vitis-ai")


@pytest.mark.parametrize("format_name", VENDORS)
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


def test_a_model_that_answers_nan_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Log", ["x"], ["y"], name="log")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, tmp_path / "log.onnx")
    with pytest.raises(InputError, match="output 'y' holds NaN or infinity"):
        convert(tmp_path / "log.onnx", ["torchscript"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_two_formats_write_the_same_file() -> None:
    suffixes = [entry.suffix for entry in FORMATS.values()]
    assert len({*suffixes, ".bin"}) == len(suffixes) + 1  # OpenVINO's weights are the `.bin`
    one, other = (
        (FORMATS[name], Artefact(f"m{FORMATS[name].suffix}", {"m.bin": b""}))
        for name in ("openvino", "qnn")
    )
    with pytest.raises(InputError, match=r"openvino and qnn would both write m\.bin"):
        _check_names([one, other])


def test_the_model_itself_is_never_overwritten(model: Path) -> None:
    before = model.read_bytes()
    with pytest.raises(InputError, match="is the model itself"):
        convert(model, ["onnx"], model.parent)
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.full((2, 3, 8), np.nan, np.float32), "golden data: input 'x' holds NaN"),
        (np.ones((0, 3, 8), np.float32), "golden data: input 'x' has no rows"),
    ],
    ids=["nan", "none"],
)
def test_golden_data_that_nothing_answers_are_not_blamed_on_the_model(
    model: Path, tmp_path: Path, rows: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        convert(model, ["onnx"], tmp_path / "out", given=Given(golden={"x": rows}))
    assert not (tmp_path / "out").exists()


def test_a_model_that_no_engine_here_takes_is_refused_in_words(model: Path, tmp_path: Path) -> None:
    future = onnx.load(model)
    future.opset_import[0].version = 99
    onnx.save(future, model)
    with pytest.raises(InputError, match=r"net.onnx does not answer: .*pset 99"):
        convert(model, ["onnx"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cut_that_no_format_makes_is_refused(model: Path, tmp_path: Path) -> None:
    given = Given(wishes=Wishes(start=("c",)))
    with pytest.raises(InputError, match="onnx: takes the whole model, no cut"):
        convert(model, ["onnx"], tmp_path / "out", given=given)
    with pytest.raises(UnavailableError, match="hailo_sdk_client"):
        convert(model, ["onnx", "hailo"], tmp_path / "out", given=given)
    assert not (tmp_path / "out").exists()
