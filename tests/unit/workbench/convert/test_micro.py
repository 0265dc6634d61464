"""LiteRT files for microcontrollers, on a network of one layer built from the schema itself."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgewright.chain.engines import engine_for_format
from edgewright.errors import GateError, InputError, UnavailableError
from edgewright.workbench.convert import convert
from edgewright.workbench.convert.artefact import Artefact, Wishes
from edgewright.workbench.convert.comparing import compare_lite
from edgewright.workbench.convert.converting import Given

pytest.importorskip("ai_edge_litert", reason="absent: ai-edge-litert (make setup EXTRAS=litert)")

from ai_edge_litert import schema_py_generated as schema

from edgewright.workbench.convert.lite_file import LiteModel


def tensor(name: str, shape: list[int], buffer: int) -> schema.TensorT:
    made = schema.TensorT()
    made.name, made.shape, made.buffer, made.type = name, shape, buffer, schema.TensorType.FLOAT32
    return made


def dense_file() -> bytes:
    rng = np.random.default_rng(0)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version = 3
    empty, weight, bias = schema.BufferT(), schema.BufferT(), schema.BufferT()
    weight.data = np.frombuffer(rng.normal(size=(3, 8)).astype(np.float32).tobytes(), np.uint8)
    bias.data = np.frombuffer(np.ones(3, np.float32).tobytes(), np.uint8)
    model.buffers = [empty, weight, bias]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model.operatorCodes = [code]
    layer = schema.OperatorT()
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, 2], [3]
    layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    layer.builtinOptions = schema.FullyConnectedOptionsT()
    graph.tensors = [
        tensor("in", [1, 8], 0),
        tensor("w", [3, 8], 1),
        tensor("b", [3], 2),
        tensor("out", [1, 3], 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [layer]
    model.subgraphs = [graph]
    made = LiteModel.__new__(LiteModel)
    made.table = model
    return made.content()


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    path = tmp_path / "dense.tflite"
    path.write_bytes(dense_file())
    return path


def test_weights_are_inside_aligned_and_the_bytes_repeat(dense: Path) -> None:
    content = dense.read_bytes()
    again = LiteModel(content)
    assert again.content() == content
    assert again.operators() == ["FULLY_CONNECTED"]
    weights = np.asarray(again.table.buffers[1].data, np.uint8).tobytes()
    assert content.find(weights) % 16 == 0


def test_names_are_the_callers_and_a_wrong_number_is_refused(dense: Path) -> None:
    lite = LiteModel(dense.read_bytes())
    lite.name_tensors(["x"], ["y"])
    names = [entry.name for entry in LiteModel(lite.content()).graph.tensors]
    assert names == [b"x", b"constant_1", b"constant_2", b"y"]
    with pytest.raises(InputError, match="takes 1 tensors and gives 1"):
        lite.name_tensors(["x", "z"], ["y"])


def test_a_file_of_another_kind_is_no_litert_file() -> None:
    with pytest.raises(InputError, match="no LiteRT file"):
        LiteModel(b"not a model at all")


def test_the_project_compiles_and_knows_its_own_array(dense: Path, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="absent: tflite-micro (make setup EXTRAS=mcu)")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("absent: cc (Debian package gcc)")
    (record,) = convert(dense, ["tflm-c"], tmp_path / "out")
    folder = Path(record.path)
    assert record.parity == "verified"
    assert record.max_abs is not None
    assert record.max_abs < 1e-5
    build = [compiler, "-Wall", "-Werror", "selftest.c", "model_data.c", "-o", "selftest"]
    subprocess.run(build, cwd=folder, check=True)
    said = subprocess.run([folder / "selftest"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"ok {len((folder / 'model.tflite').read_bytes())} bytes, arena ")
    array = folder / "model_data.c"
    array.write_text(array.read_text().replace("0x54, 0x46", "0x54, 0x47", 1))
    subprocess.run(build, cwd=folder, check=True)
    assert subprocess.run([folder / "selftest"], check=False).returncode == 1


def test_every_input_and_output_is_golden() -> None:
    pytest.importorskip("tflite_micro", reason="absent: tflite-micro (make setup EXTRAS=mcu)")
    from edgewright.workbench.convert.tflm_project import _golden

    feed = [np.array([1, 2], np.int8), np.array([3], np.int8)]
    lines = _golden(feed, [np.array([1.0], np.float32)]).splitlines()

    assert "alignas(16) static const unsigned char golden_input_1[] = {0x03};" in lines
    assert (
        "static const GoldenTensor golden_inputs[] = {{golden_input_0, sizeof(golden_input_0)}, "
        "{golden_input_1, sizeof(golden_input_1)}};"
    ) in lines
    assert "static const unsigned char golden_output_0[] = {0x00, 0x00, 0x80, 0x3f};" in lines[-2]


def test_the_arena_is_the_smallest_that_runs(dense: Path) -> None:
    pytest.importorskip("tflite_micro", reason="absent: tflite-micro (make setup EXTRAS=mcu)")
    from edgewright.workbench.convert.tflm_project import ARENA_STEP, _runs, smallest_arena

    content = dense.read_bytes()
    bytes_needed = smallest_arena(content)
    assert _runs(content, bytes_needed, 1)
    assert not _runs(content, bytes_needed - ARENA_STEP, 1)


def test_a_float_model_gives_an_ethos_u_nothing_to_do(dense: Path, tmp_path: Path) -> None:
    pytest.importorskip("ethosu.vela", reason="absent: ethos-u-vela (make setup EXTRAS=mcu)")
    with pytest.raises(InputError, match="left every operator to the CPU"):
        convert(dense, ["ethos-u"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_litert_file_that_passes_through_is_run_beside_its_source(
    dense: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="no engine was handed in"):
        convert(dense, ["litert"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (record,) = convert(dense, ["litert"], tmp_path / "out", open_engine=engine_for_format)
    assert (record.parity, record.max_abs) == ("verified", 0.0)
    assert "weights inside; held against the source" in record.notes


def test_a_litert_file_that_answers_otherwise_than_its_source_is_told(
    dense: Path, tmp_path: Path
) -> None:
    content = dense.read_bytes()
    artefact = Artefact("dense.tflite", {"dense.tflite": content})
    artefact.write(tmp_path / "desk")
    other = LiteModel(content)
    other.table.buffers[1].data = np.zeros(96, np.uint8)
    with pytest.raises(GateError, match="difference of output 'out'"):
        compare_lite(
            "litert",
            artefact,
            tmp_path / "desk",
            source=other.content(),
            open_engine=engine_for_format,
        )


def test_a_compiler_that_does_not_end_is_told_as_such(dense: Path, tmp_path: Path) -> None:
    pytest.importorskip("ethosu.vela", reason="absent: ethos-u-vela (make setup EXTRAS=mcu)")
    given = Given(wishes=Wishes(timeout_s=0.01))
    with pytest.raises(InputError, match=r"Vela took more than 0\.01 s"):
        convert(dense, ["ethos-u"], tmp_path / "out", given=given)


def test_other_formats_are_not_made_of_a_litert_file(dense: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="openvino cannot be made from a LiteRT file"):
        convert(dense, ["openvino"], tmp_path / "out")


def test_integers_for_an_ethos_u_are_compiled_with_the_report(
    shared_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ethosu.vela", reason="absent: ethos-u-vela (make setup EXTRAS=mcu)")
    source = shared_data / "mlperf-tiny" / "kws_dscnn_int8.tflite"
    (record,) = convert(source, ["ethos-u"], tmp_path)
    assert record.parity == "unverified"
    assert any("NPU operators = 39 (100.0%)" in note for note in record.notes)
    assert "Total SRAM used" in (tmp_path / "kws_dscnn_int8_vela.txt").read_text()
