"""Every engine keeps the port: the same small network, the same answers, the same refusals."""

from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.runtimes.base import EngineTensor, Runtime, Session
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.runtimes.reference import Graph, Layer, ReferenceRuntime, write_reference

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


ENGINES = {
    "reference": (ReferenceRuntime(), "model.npz", write_reference_model),
    "onnxruntime": (OnnxRuntime(), "model.onnx", write_onnx_model),
}


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Runtime, Path]:
    runtime, name, write = ENGINES[request.param]
    write(tmp_path / name)
    return runtime, tmp_path / name


@pytest.fixture
def session(engine: tuple[Runtime, Path]) -> Session:
    runtime, path = engine
    return runtime.open(path)


def test_engine_says_that_it_can_run_here(engine: tuple[Runtime, Path]) -> None:
    availability = engine[0].availability()
    assert availability.available
    assert availability.version


def test_session_declares_its_tensors(session: Session) -> None:
    assert session.inputs == (EngineTensor(name="x", dtype="float32", shape=(None, 3)),)
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
    with pytest.raises(InputError, match=words):
        session.run(feeds)


@pytest.mark.parametrize("content", [b"", b"this is a text", b"\x00" * 1000])
def test_a_file_that_is_no_model_is_refused_by_path(
    engine: tuple[Runtime, Path], content: bytes
) -> None:
    runtime, path = engine
    path.write_bytes(content)
    with pytest.raises(InputError, match=path.name):
        runtime.open(path)


def test_a_missing_file_is_an_input_error(engine: tuple[Runtime, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        engine[0].open(tmp_path / "absent")


def test_sessions_close(session: Session) -> None:
    session.close()
