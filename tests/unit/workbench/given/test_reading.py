"""Every kind of model file is told by what lies there, and broken ones by a clear message."""

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.contract import Normalise
from edgewright.contract.decoding import decode_toml
from edgewright.contract.model import Contract
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.given import contract_text, read_model

WEIGHT = np.arange(18, dtype=np.float32).reshape(9, 2) / 10


def network(*, extra: tuple[onnx.NodeProto, ...] = ()) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), *extra],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def saved(path: Path, model: onnx.ModelProto | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((model or network()).SerializeToString())
    return path


def test_an_onnx_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx")
    given = read_model(path, {})
    assert (given.engine, given.content) == ("onnx", path.read_bytes())


def test_weights_in_another_file_are_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save_model(network(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    given = read_model(path, {})
    tensor = onnx.load_model_from_string(given.content).graph.initializer[0]
    assert np.array_equal(numpy_helper.to_array(tensor), WEIGHT)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(InputError, match="weights"):
        read_model(path, {})


def test_a_list_of_dictionaries_as_output_is_refused_with_the_way_out(tmp_path: Path) -> None:
    model = network()
    kind = model.graph.output[0].type
    kind.Clear()
    kind.sequence_type.elem_type.map_type.key_type = TensorProto.INT64
    kind.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT
    with pytest.raises(InputError, match="zipmap"):
        read_model(saved(tmp_path / "m.onnx", model), {})


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("m.onnx", b"junk", "not an ONNX model"),
        ("m.tflite", b"junk junk junk", "TFL3"),
        ("m.xyz", b"junk", "no kind of model"),
        ("m.zip", b"junk", "no kind of model"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_model(tmp_path / name, {})


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_model(tmp_path / "m.onnx", {})


def test_the_artefact_set_brings_its_normalisation_and_its_claims(tmp_path: Path) -> None:
    saved(tmp_path / "tcn_encoder_for_edgeinfer.onnx")
    config = {
        "normalization": {"mean": [0.5] * 9, "std": [[2.0] * 9]},
        "export_info": {"model_accuracy": "72.13%"},
    }
    (tmp_path / "model_config.json").write_text(json.dumps(config))
    (tmp_path / "deployment_metadata.json").write_text('{"version": "v1"}')
    given = read_model(tmp_path, {})
    assert given.preprocess == (Normalise(tensor="x", mean=(0.5,) * 9, std=(2.0,) * 9),)
    assert given.claims["model_config.json: export_info.model_accuracy"] == "72.13%"
    assert given.claims["deployment_metadata.json: version"] == "v1"


def test_a_normalisation_of_nonsense_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "m.onnx")
    config = {"normalization": {"mean": [0.5], "std": [0.0]}}
    (tmp_path / "model_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="std must be above 0"):
        read_model(tmp_path, {})


def test_a_snapshot_brings_its_class_names(tmp_path: Path) -> None:
    saved(tmp_path / "onnx" / "model.onnx")
    (tmp_path / "config.json").write_text('{"id2label": {"1": "dog", "0": "cat"}}')
    assert read_model(tmp_path, {}).labels == ("cat", "dog")


def test_a_snapshot_without_onnx_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UnavailableError, match="optimum-cli export onnx"):
        read_model(tmp_path, {})


def edge_impulse(path: Path, content: bytes, *, name: str = "tflite_learn_5.cpp") -> Path:
    listing = ", ".join(f"0x{byte:02x}" for byte in content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "model-parameters/model_variables.h",
            'const char* ei_classifier_inferencing_categories[] = { "idle", "wave" };\n'
            "ei_dsp_config_spectral_analysis_t ei_dsp_config_3 = { 1 };\n",
        )
        archive.writestr(
            "model-parameters/model_metadata.h",
            '#define EI_CLASSIFIER_PROJECT_NAME "gestures"\n',
        )
        archive.writestr(
            f"tflite-model/{name}",
            f"const unsigned char tflite_learn_5[] ALIGN(16) = {{ {listing} }};\n",
        )
    return path


def test_an_edge_impulse_library_gives_its_network_and_class_names(tmp_path: Path) -> None:
    content = b"\x1c\x00\x00\x00TFL3" + bytes(range(64))
    given = read_model(edge_impulse(tmp_path / "ei.zip", content), {})
    assert (given.engine, given.content) == ("litert", content)
    assert given.labels == ("idle", "wave")
    assert any("spectral_analysis" in note for note in given.notes)


def test_a_network_that_was_compiled_away_is_refused(tmp_path: Path) -> None:
    path = edge_impulse(tmp_path / "ei.zip", b"\x00" * 64, name="tflite_learn_5_compiled.cpp")
    with pytest.raises(InputError, match="EON"):
        read_model(path, {})


def test_the_contract_text_reads_back() -> None:
    contract = decode_toml(
        b"""
schema_version = 1
labels = ["a", 'b "quoted"']
inputs = [{name = "x", dtype = "float32", shape = ["batch", 9]}]
outputs = [{name = "y", dtype = "float32", shape = ["batch", 2]}]
preprocess = [{step = "normalise", tensor = "x", mean = [0.5], std = [2.0]}]
""",
        Contract,
        source="t",
    )
    text = contract_text(contract, {"x": np.array([[-1.0, 3.0]])})
    assert "# low = -1\n" in text
    assert decode_toml(text.encode(), Contract, source="again") == contract
