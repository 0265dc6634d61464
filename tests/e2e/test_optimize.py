"""`optimize`, `convert`, `verify` as a user calls them: real processes, files in, files out."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright._npz import encode_npz
from edgewright.chain.engines import engine_named
from edgewright.runtimes.onnxruntime import OnnxRuntime

Result = subprocess.CompletedProcess[str]
CANDIDATE_KEYS = {
    "format",
    "recipe",
    "size_bytes",
    "metric",
    "metric_drop",
    "metric_drop_upper",
    "latency_ratio",
    "verdict",
    "reason",
}


def edgewright(*arguments: object) -> Result:
    return subprocess.run(
        [sys.executable, "-m", "edgewright", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


class Case:
    """A model whose answers are its own labels, with data to optimise it on."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.folder = folder
        self.model = folder / "mlp.onnx"
        onnx.save(mlp(rng), self.model)
        x = rng.normal(size=(1600, 64)).astype(np.float32)
        session = OnnxRuntime().open(self.model)
        y = session.run({"x": x})["y"].argmax(axis=1)
        session.close()
        self.calib = self.write("calib.npz", x=x[:200])
        self.eval = self.write("eval.npz", x=x[200:], y=y[200:], group=np.arange(1400) % 12)

    def write(self, name: str, **arrays: np.ndarray) -> Path:
        path = self.folder / name
        path.write_bytes(encode_npz(arrays))
        return path

    def optimize(self, out: Path, *more: object, formats: str = "onnx") -> Result:
        return edgewright(
            *("optimize", self.model, "--calib", self.calib, "--eval", self.eval),
            *("--formats", formats, "--out", out, *more),
        )


def mlp(rng: np.random.Generator) -> onnx.ModelProto:
    sizes = (64, 256, 256, 8)
    stored, nodes, name = [], [], "x"
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weight = (rng.normal(size=(rows, columns)) / np.sqrt(rows / 2)).astype(np.float32)
        stored.append(numpy_helper.from_array(weight, f"w{layer}"))
        last = layer == len(sizes) - 2
        made = "y" if last else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [name, f"w{layer}"], [made], name=f"fc{layer}"))
        name = f"r{layer}"
        if not last:
            nodes.append(helper.make_node("Relu", [made], [name], name=f"relu{layer}"))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("optimize"))


def test_the_best_file_keeps_the_budget_and_every_loser_says_why(
    case: Case, tmp_path: Path
) -> None:
    done = case.optimize(tmp_path / "out", "--max-drop", 6, "--objective", "size", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["schema_version"] == 1
    assert json.loads(done.stdout)["best"] == report["best"]
    best = report["best"]
    assert set(best) >= CANDIDATE_KEYS
    assert best["metric_drop_upper"] <= 6
    assert best["latency_ratio"] <= 1
    assert best["split"] == "confirm"
    assert len(report["candidates"]) > 20
    for candidate in report["candidates"]:
        assert candidate["reason"], candidate["recipe"]
    assert sum(one["verdict"] in {"chosen", "baseline"} for one in report["candidates"]) >= 1
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"best.onnx", "report.json", "report.html"}
    assert best["memory_bytes"] > 10_000_000
    assert 0 < best["packed_bytes"] <= best["size_bytes"] + 1000
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    onnx.checker.check_model(onnx.load(tmp_path / "out" / "best.onnx"))


def test_fp32_stays_when_nothing_proves_the_budget(case: Case, tmp_path: Path) -> None:
    done = case.optimize(tmp_path / "out", "--max-drop", 0)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["best"]["recipe"] == "fp32"
    assert report["best"]["latency_ratio"] == 1
    assert report["verdict"].startswith("fp32 stays")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_other_runtimes_are_searched_and_absent_ones_say_why(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="absent: nncf (extra openvino)")
    formats = "openvino,litert"
    done = case.optimize(tmp_path / "out", "--max-drop", 6, formats=formats)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    rows = report["candidates"]
    assert {"openvino", "litert"} <= {row["format"] for row in rows}
    assert any(row["recipe"].startswith("int8 nncf") and row["latency_ratio"] for row in rows)
    assert all(row["reason"] for row in rows)
    if report["best"]["format"] == "openvino":
        assert (tmp_path / "out" / "best.bin").exists()
    session = engine_named(report["best"]["format"]).open(tmp_path / "out" / report["best_file"])
    assert session.run({"x": np.zeros((1, 64), np.float32)})["y"].shape == (1, 8)
    session.close()


def write_text(case: Case, folder: Path) -> list[object]:
    (folder / "text.onnx").write_text("this is no model\n")
    return [folder / "text.onnx", "--calib", case.calib, "--eval", case.eval]


def write_custom_operator(case: Case, folder: Path) -> list[object]:
    model = onnx.load(case.model)
    model.graph.node[0].domain = "acme"
    model.opset_import.append(helper.make_opsetid("acme", 1))
    onnx.save(model, folder / "custom.onnx")
    return [folder / "custom.onnx", "--calib", case.calib, "--eval", case.eval]


def write_external_data(case: Case, folder: Path) -> list[object]:
    model = onnx.load(case.model)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("length", str(3 << 30))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
    (folder / "external.onnx").write_bytes(model.SerializeToString())
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(3 << 30)
    return [folder / "external.onnx", "--calib", case.calib, "--eval", case.eval]


def write_nan_model(case: Case, folder: Path) -> list[object]:
    model = onnx.load(case.model)
    weight = numpy_helper.to_array(model.graph.initializer[1]).copy()
    weight[0, 0] = np.nan
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weight, "w1"))
    onnx.save(model, folder / "nan.onnx")
    return [folder / "nan.onnx", "--calib", case.calib, "--eval", case.eval]


def with_wrong_names(case: Case, folder: Path) -> list[object]:
    wrong = case.write("names.npz", signal=np.zeros((50, 64), np.float32))
    return [case.model, "--calib", wrong, "--eval", case.eval]


def with_wrong_shape(case: Case, folder: Path) -> list[object]:
    wrong = case.write("shape.npz", x=np.zeros((50, 63), np.float32))
    return [case.model, "--calib", wrong, "--eval", case.eval]


def with_wrong_dtype(case: Case, folder: Path) -> list[object]:
    wrong = case.write("dtype.npz", x=np.zeros((50, 64), np.int64), y=np.zeros(50, np.int64))
    return [case.model, "--calib", case.calib, "--eval", wrong]


def with_one_sample(case: Case, folder: Path) -> list[object]:
    wrong = case.write("one.npz", x=np.zeros((1, 64), np.float32))
    return [case.model, "--calib", wrong, "--eval", case.eval]


def with_unknown_target(case: Case, folder: Path) -> list[object]:
    return [case.model, "--calib", case.calib, "--eval", case.eval, "--target", "rpi6"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (write_text, "is not an ONNX model"),
        (write_custom_operator, "custom operator acme.Gemm"),
        (write_external_data, "3221225472 bytes are told, its shape takes"),
        (write_nan_model, "NaN or infinity"),
        (with_wrong_names, "no array for input 'x'"),
        (with_wrong_shape, "shape [50, 63]"),
        (with_wrong_dtype, "is int64, expected float32"),
        (with_one_sample, "holds 1 calibration sample"),
        (with_unknown_target, "did you mean 'rpi5'"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    case: Case, tmp_path: Path, make: object, message: str
) -> None:
    assert callable(make)
    out = tmp_path / "out"
    done = edgewright("optimize", *make(case, tmp_path), "--max-drop", 1, "--out", out)
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert not out.exists()


def test_a_killed_search_goes_on_and_leaves_only_its_results(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edgewright", "optimize", case.model, "--max-drop", "6"),
            *("--calib", case.calib, "--eval", case.eval, "--formats", "onnx", "--out", out),
        ],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and not list(out.glob(".search-*/*.onnx")):
            pass
    finally:
        process.kill()
        process.wait(20)
    done = case.optimize(out, "--max-drop", 6)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "best.onnx",
        "report.html",
        "report.json",
    ]


def test_verify_names_the_diverging_node_with_exit_code_7(case: Case, tmp_path: Path) -> None:
    model = onnx.load(case.model)
    weight = numpy_helper.to_array(model.graph.initializer[1]).copy()
    weight[3, 5] += 2.0
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weight, "w1"))
    onnx.save(model, tmp_path / "changed.onnx")
    same = edgewright("verify", case.model, case.model, "--data", case.eval)
    assert same.returncode == 0, same.stderr
    done = edgewright(
        "verify", case.model, tmp_path / "changed.onnx", "--data", case.eval, "--json"
    )
    assert done.returncode == 7, done.stderr
    report = json.loads(done.stdout)
    assert report["divergence"]["node"] == "fc1"
    assert not report["ok"]


def test_convert_writes_what_it_can_and_names_what_is_missing(case: Case, tmp_path: Path) -> None:
    done = edgewright("convert", case.model, "--to", "onnx,torchscript", "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["mlp.onnx", "mlp.pt"]
    done = edgewright("convert", case.model, "--to", "hailo", "--out", tmp_path / "b")
    assert done.returncode == 3
    assert "Hailo Dataflow Compiler" in done.stderr
    assert not (tmp_path / "b").exists()
