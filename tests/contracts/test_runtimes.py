"""Every engine keeps the port: the same small network, the same answers, the same refusals."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.chain.engines import engine_named
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes.base import EngineTensor, Helped, Runtime, Session, core_clock
from edgewright.runtimes.reference import Graph, Layer, write_reference

WEIGHT = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]], np.float32)
BIAS = np.array([0.25, -0.25], np.float32)


def write_reference_model(path: Path) -> None:
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 3)),),
        outputs=(EngineTensor(name="y", dtype="float32", shape=(None, 2)),),
        layers=(
            Layer(op="linear", inputs=("x",), output="h", weights={"weight": "w", "bias": "b"}),
            Layer(op="relu", inputs=("h",), output="y"),
        ),
    )
    write_reference(path, graph, {"w": WEIGHT, "b": BIAS})


def write_onnx_model(path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="absent: onnx")
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
            onnx.helper.make_node("Relu", ["h"], ["y"]),
        ],
        "tiny",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 2])],
        [onnx.numpy_helper.from_array(WEIGHT, "w"), onnx.numpy_helper.from_array(BIAS, "b")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    path.write_bytes(model.SerializeToString())


def write_openvino_model(path: Path) -> None:
    ov = pytest.importorskip("openvino", reason="absent: openvino (extra openvino)")
    write_onnx_model(path.with_suffix(".onnx"))
    model = ov.Core().read_model(path.with_suffix(".onnx"))
    ov.save_model(model, path, compress_to_fp16=False)


def write_packed_openvino_model(path: Path) -> None:
    from edgewright.runtimes.openvino_file import pack_parts, read_parts

    loose = path.with_name("loose.xml")
    write_openvino_model(loose)
    path.write_bytes(pack_parts(*read_parts(loose)))


def write_litert_model(path: Path) -> None:
    schema = pytest.importorskip(
        "ai_edge_litert.schema_py_generated", reason="absent: ai-edge-litert (extra litert)"
    )
    import flatbuffers

    def buffer(content: np.ndarray | None = None) -> Any:
        one = schema.BufferT()
        one.data = None if content is None else np.frombuffer(content.tobytes(), np.uint8)
        return one

    def tensor(name: str, shape: list[int], place: int, signature: list[int] | None = None) -> Any:
        one = schema.TensorT()
        one.name, one.shape, one.buffer = name, shape, place
        one.shapeSignature = signature
        one.type = schema.TensorType.FLOAT32
        return one

    layer = schema.OperatorT()
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, 2], [3]
    layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    layer.builtinOptions = schema.FullyConnectedOptionsT()
    layer.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("x", [1, 3], 0, [-1, 3]),
        tensor("w", [2, 3], 1),
        tensor("b", [2], 2),
        tensor("y", [1, 2], 0, [-1, 2]),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [layer]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [buffer(), buffer(WEIGHT), buffer(BIAS)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def write_executorch_model(path: Path) -> None:
    pytest.importorskip("executorch", reason="absent: executorch (extra executorch)")
    path.write_bytes((Path(__file__).parent / "models" / "tiny.pte").read_bytes())


ENGINES = {
    "executorch": ("executorch", "model.pte", write_executorch_model),
    "litert": ("litert", "model.tflite", write_litert_model),
    "onnxruntime": ("onnxruntime", "model.onnx", write_onnx_model),
    "openvino": ("openvino", "model.xml", write_openvino_model),
    "openvino packed": ("openvino", "model.zip", write_packed_openvino_model),
    "reference": ("reference", "model.npz", write_reference_model),
}


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Runtime, Path]:
    name, file, write = ENGINES[request.param]
    path = tmp_path_factory.mktemp("engine") / file
    write(path)
    return engine_named(name), path


@pytest.fixture(scope="module")
def session(engine: tuple[Runtime, Path]) -> Iterator[Session]:
    """Open once for all: one engine needs seconds to start."""
    runtime, path = engine
    session = runtime.open(path)
    yield session
    session.close()


def test_engine_says_that_it_can_run_here(engine: tuple[Runtime, Path]) -> None:
    availability = engine[0].availability()
    assert availability.available
    assert availability.version


def test_session_declares_its_tensors(session: Session) -> None:
    (x,) = session.inputs
    assert (x.name, x.dtype, x.shape) == ("x", "float32", (None, 3))
    assert x.rows in {"", "batch"}
    assert [(t.name, t.dtype) for t in session.outputs] == [("y", "float32")]


@pytest.mark.parametrize("rows", [1, 7])
def test_answers_are_right_for_any_number_of_rows(session: Session, rows: int) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    want = np.maximum(x.astype(np.float64) @ WEIGHT.T.astype(np.float64) + BIAS, 0)
    got = session.run({"x": x})["y"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_a_view_that_is_not_contiguous_is_read_right(session: Session) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)[:, 1:]
    np.testing.assert_array_equal(session.run({"x": x})["y"], session.run({"x": x.copy()})["y"])


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, r"takes inputs \['x'\], got \[\]"),
        ({"z": np.zeros((1, 3), np.float32)}, r"got \['z'\]"),
        ({"x": np.zeros((1, 3), np.float32), "z": np.zeros(1)}, r"got \['x', 'z'\]"),
        ({"x": np.zeros((1, 4), np.float32)}, r"expects float32 \[None, 3\], got float32 \[1, 4\]"),
        ({"x": np.zeros(3, np.float32)}, r"got float32 \[3\]"),
        ({"x": np.zeros((1, 3))}, "got float64"),
    ],
)
def test_feeds_that_do_not_fit_are_refused_by_name(
    session: Session, feeds: dict[str, np.ndarray], words: str
) -> None:
    for _ in range(3):
        session.run({"x": np.zeros((1, 3), np.float32)})
    with pytest.raises(InputError, match=words):
        session.run(feeds)


def test_the_core_clock_sees_all_that_a_pass_costs(session: Session) -> None:
    """An engine that computed in threads that nobody looks at would seem faster than it is."""
    x = np.ones((7, 3), np.float32)
    session.run({"x": x})
    seen_s, all_s = core_clock(session), core_clock(session, time.process_time)
    before_s = (seen_s(), all_s())

    for _ in range(400):
        session.run({"x": x})

    seen, everything = seen_s() - before_s[0], all_s() - before_s[1]
    assert seen > 0.7 * everything


def test_what_a_helping_process_computes_is_counted(session: Session) -> None:
    if not isinstance(session, Helped):
        assert session.placement.engine != "executorch"
        return
    before_s = session.helper_cpu_s()

    for _ in range(50):
        session.run({"x": np.ones((1, 3), np.float32)})

    assert session.helper_cpu_s() > before_s


@pytest.mark.parametrize("content", [b"", b"this is a text", b"\x00" * 1000])
def test_a_file_that_is_no_model_is_refused_by_path(
    engine: tuple[Runtime, Path], content: bytes, tmp_path: Path
) -> None:
    runtime, good = engine
    path = tmp_path / good.name
    path.write_bytes(content)
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(InputError, match=path.name):
        runtime.open(path)


def test_half_a_file_is_refused_by_path(engine: tuple[Runtime, Path], tmp_path: Path) -> None:
    runtime, good = engine
    path = tmp_path / good.name
    path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(InputError, match=path.name):
        runtime.open(path)


def test_a_missing_file_is_an_input_error(engine: tuple[Runtime, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        engine[0].open(tmp_path / "absent")


def test_a_session_says_where_it_really_runs(session: Session) -> None:
    assert session.placement.threads == 1
    assert session.placement.engine in session.placement.text
    assert "CPU" in session.placement.device


def test_threads_are_what_was_asked_for(engine: tuple[Runtime, Path]) -> None:
    runtime, path = engine
    if runtime.name == "reference":
        pytest.skip("numpy alone, always one thread")
    session = runtime.open(path, threads=2)
    try:
        assert session.placement.threads == 2
    finally:
        session.close()


def test_several_threads_may_ask_at_once(session: Session) -> None:
    def ask(seed: int) -> bool:
        x = np.random.default_rng(seed).normal(size=(1 + seed % 3, 3)).astype(np.float32)
        want = np.maximum(x.astype(np.float64) @ WEIGHT.T.astype(np.float64) + BIAS, 0)
        return bool(np.allclose(session.run({"x": x})["y"], want, atol=1e-5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(60)))


def test_an_answer_stays_when_the_next_one_comes(session: Session) -> None:
    answers = [
        session.run({"x": np.full((1, 3), value, np.float32)})["y"] for value in (1, 2, 3, 4, 5)
    ]
    for value, answer in enumerate(answers, start=1):
        want = np.maximum(np.full((1, 3), value) @ WEIGHT.T + BIAS, 0)
        np.testing.assert_allclose(answer, want, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hailo", "HailoRT"),
        ("tensorrt", "TensorRT"),
        ("onnxruntime-cuda", "onnxruntime-gpu"),
        ("onnxruntime-tensorrt", "onnxruntime-gpu"),
        ("edgetpu", "libedgetpu"),
        ("openvino-gpu", "driver"),
        ("openvino-npu", "driver"),
    ],
)
def test_hardware_that_is_absent_says_what_to_install(name: str, words: str) -> None:
    try:
        state = engine_named(name).availability()
    except UnavailableError as error:
        message = str(error)
    else:
        if state.available:
            pytest.skip(f"{name} is attached here")
        message = f"{state.reason}; {state.install}"
    assert words in message or "pip install" in message


def test_no_other_provider_is_asked_when_one_fails(tmp_path: Path) -> None:
    """onnxruntime would go on with another one by itself and say so on stdout only."""
    runtime: Any = engine_named("onnxruntime")
    write_onnx_model(tmp_path / "model.onnx")
    session: Any = runtime.open(tmp_path / "model.onnx")
    assert session._session._enable_fallback is False


def test_a_file_newer_than_onnxruntime_is_told_by_its_reason(tmp_path: Path) -> None:
    """Not by the signature of the function that noticed."""
    file = tmp_path / "model.onnx"
    write_onnx_model(file)
    content = file.read_bytes()
    assert content[:2] == bytes([0x08, 10]), "ir_version comes first"
    file.write_bytes(bytes([0x08, 120]) + content[2:])
    with pytest.raises(InputError, match="Unsupported model IR version: 120, max") as caught:
        engine_named("onnxruntime").open(file)
    assert "onnxruntime_src" not in str(caught.value)


def test_weights_outside_of_an_onnx_file_are_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when the process stands where they lie: no hash covers them."""
    onnx = pytest.importorskip("onnx", reason="absent: onnx")
    write_onnx_model(tmp_path / "whole.onnx")
    model = onnx.load(tmp_path / "whole.onnx")
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    assert (tmp_path / "w.bin").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"m\.onnx: its weights are in another file"):
        engine_named("onnxruntime").open(tmp_path / "m.onnx")
