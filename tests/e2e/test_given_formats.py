"""Every kind of model that can be brought, from its file to a bundle that answers like it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgewright._npz import encode_npz
from edgewright.bundle import open_bundle
from edgewright.chain.new_project import InitOrder, init_project
from edgewright.chain.project import RunOrder, run_project
from edgewright.chain.serving import open_servable
from edgewright.contract import Normalise
from edgewright.errors import EdgewrightError, GateError, InputError, UnavailableError
from edgewright.workbench.convert.child_venv import find_python
from edgewright.workbench.given.tensorflow_files import TENSORFLOW

Arrays = dict[str, NDArray[Any]]
ROWS = 12


def bundled(folder: Path, model: Path, samples: Arrays) -> Path:
    """`edgewright init --recipe onnx` and `edgewright run`, in this process."""
    data = folder / "samples.npz"
    data.write_bytes(encode_npz(samples))
    project = folder / "own"
    init_project(InitOrder(folder=project, recipe="onnx", data=data, model=model))
    found = run_project(RunOrder(folder=project), watch=lambda _: None)
    return Path(found.bundle)


def answers(bundle: Path, samples: Arrays) -> Arrays:
    """What the served bundle says; it is signed and keeps its own golden vectors."""
    served = open_servable(bundle)
    try:
        assert served.is_signed
        assert served.golden is not None
        return served.model.predict(samples)
    finally:
        served.model.close()


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(ROWS, *shape)).astype(np.float32)


class Net(nn.Module):
    """Six values to three scores."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def write_onnx(path: Path, width: int = 9) -> NDArray[np.float32]:
    """y = tanh(x w)."""
    weight = np.random.default_rng(1).normal(size=(width, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Tanh", ["h"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return weight


@pytest.mark.long
def test_an_exported_program(tmp_path: Path, net: Net) -> None:
    x = normal(6)
    rows = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(net, (torch.from_numpy(x),), dynamic_shapes={"x": {0: rows}})
    torch.export.save(program, tmp_path / "net.pt2")
    found = answers(bundled(tmp_path, tmp_path / "net.pt2", {"x": x}), {"x": x})
    expected = net(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(next(iter(found.values())), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript(tmp_path: Path, net: Net) -> None:
    x = normal(6)
    with torch.no_grad():
        torch.jit.save(torch.jit.script(net), tmp_path / "net.pt")
    found = answers(bundled(tmp_path, tmp_path / "net.pt", {"x": x}), {"x": x})
    expected = net(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(next(iter(found.values())), expected, atol=1e-5)


def test_a_tensorflow_lite_file(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="absent: ai-edge-litert (extra litert)")
    model = shared_data / "mlperf-tiny" / "ic_resnet8_fp32.tflite"
    name = _only_input(model)
    x = np.random.default_rng(0).uniform(0, 255, (ROWS, 32, 32, 3)).astype(np.float32)
    bundle = bundled(tmp_path, model, {name: x})
    assert open_bundle(bundle).manifest.format == "litert"
    (scores,) = answers(bundle, {name: x[:1]}).values()
    assert scores.sum() == pytest.approx(1, abs=1e-4)


def test_an_edge_impulse_export(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="absent: ai-edge-litert (extra litert)")
    model = shared_data / "mlperf-tiny" / "ic_resnet8_fp32.tflite"
    labels = [f"thing-{at}" for at in range(10)]
    with ZipFile(tmp_path / "ei.zip", "w") as archive:
        quoted = ", ".join(f'"{label}"' for label in labels)
        archive.writestr(
            "model-parameters/model_variables.h",
            f"const char* ei_classifier_inferencing_categories[] = {{ {quoted} }};\n",
        )
        listing = ", ".join(f"0x{byte:02x}" for byte in model.read_bytes())
        archive.writestr(
            "tflite-model/tflite_learn_1.cpp",
            f"const unsigned char tflite_learn_1[] ALIGN(16) = {{ {listing} }};\n",
        )
    name = _only_input(model)
    x = np.random.default_rng(0).uniform(0, 255, (ROWS, 32, 32, 3)).astype(np.float32)
    bundle = bundled(tmp_path, tmp_path / "ei.zip", {name: x})
    assert open_bundle(bundle).manifest.contract.labels == tuple(labels)
    assert len(answers(bundle, {name: x[:1]})) == 1


def test_the_artefact_set_takes_raw_values(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    weight = write_onnx(folder / "tcn_encoder_for_edgeinfer.onnx")
    mean, std = [0.5] * 9, [2.0] * 9
    config = {"normalization": {"mean": mean, "std": std}, "model_accuracy": "72.13%"}
    (folder / "model_config.json").write_text(json.dumps(config))
    (folder / "deployment_metadata.json").write_text('{"version": "v1"}')
    x = normal(9)
    bundle = bundled(tmp_path, folder, {"x": x})
    steps = open_bundle(bundle).manifest.contract.preprocess
    assert steps == (Normalise(tensor="x", mean=tuple(mean), std=tuple(std)),)
    expected = np.tanh((x - 0.5) / 2 @ weight)
    np.testing.assert_allclose(answers(bundle, {"x": x})["y"], expected, atol=1e-5)


def test_a_hugging_face_snapshot(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    weight = write_onnx(folder / "onnx" / "model.onnx")
    (folder / "config.json").write_text('{"id2label": {"0": "cat", "1": "dog"}}')
    (folder / "model.safetensors").write_bytes(b"not read")
    x = normal(9)
    bundle = bundled(tmp_path, folder, {"x": x})
    assert open_bundle(bundle).manifest.contract.labels == ("cat", "dog")
    np.testing.assert_allclose(answers(bundle, {"x": x})["y"], np.tanh(x @ weight), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["forest", "boosting"])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn(tmp_path: Path, kind: str) -> None:
    convert = pytest.importorskip("skl2onnx", reason="absent: skl2onnx (extra oracles)")
    from sklearn import ensemble

    x = normal(4)
    y = (x[:, 0] > 0).astype(np.int64)
    model = {
        "forest": ensemble.RandomForestClassifier(n_estimators=5, random_state=0),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    }[kind].fit(x, y)
    content = convert.to_onnx(model, x[:1], options={"zipmap": False}, target_opset=18)
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())
    bundle = bundled(tmp_path, tmp_path / "model.onnx", {"X": x})
    found = answers(bundle, {"X": x})
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), atol=1e-5)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["h5", "keras", "saved_model"])
def test_tensorflow(tmp_path: Path, shared_data: Path, kind: str) -> None:
    model, expected, x = tensorflow_model(tmp_path, shared_data, kind)
    bundle = bundled(tmp_path, model, x)
    (found,) = answers(bundle, x).values()
    np.testing.assert_allclose(found, expected, atol=1e-4)


MAKE = """
import sys
import numpy as np
import tensorflow as tf

source, kind = sys.argv[1:]
model = tf.keras.models.load_model(source, compile=False)
name = model.inputs[0].name.split(":")[0]
x = np.random.default_rng(0).uniform(0, 255, (12, 32, 32, 3)).astype(np.float32)
np.savez("facts.npz", x=x, y=model.predict(x, verbose=0), name=name)
if kind == "keras":
    model.save("model.keras")
if kind == "saved_model":
    model.export("saved_model", verbose=False)
"""


def tensorflow_model(
    folder: Path, shared_data: Path, kind: str
) -> tuple[Path, NDArray[np.float32], Arrays]:
    """A real Keras network in one of three forms, with what TensorFlow answers."""
    python = find_python(TENSORFLOW)
    if python is None:
        pytest.skip("absent: TensorFlow's environment (extra tensorflow-convert)")
    source = shared_data / "mlperf-tiny" / "ic_resnet8.h5"
    (folder / "make.py").write_text(MAKE)
    command = [str(python), "make.py", str(source), kind]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "facts.npz") as facts:
        x, y, name = facts["x"], facts["y"], str(facts["name"])
    if kind == "h5":
        shutil.copy(source, folder / "model.h5")
    path = folder / ("saved_model" if kind == "saved_model" else f"model.{kind}")
    return path, y, {name: x}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "m.onnx").write_bytes(b"junk"), "not an ONNX model"),
        (lambda folder: _samples(folder, y=normal(9)), "name the arrays like the model's inputs"),
        (lambda folder: _samples(folder, x=normal(8)), "expected"),
        (lambda folder: _samples(folder, x=normal(9) * np.nan), "NaN"),
        (lambda folder: (folder / "x.npz").write_bytes(b"PK junk"), "x.npz"),
        (lambda folder: (folder / "x.npz").unlink(), "x.npz"),
    ],
)
def test_what_does_not_fit_leaves_nothing_behind(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    write_onnx(tmp_path / "m.onnx")
    _samples(tmp_path, x=normal(9))
    spoil(tmp_path)
    before = sorted(tmp_path.iterdir())
    order = InitOrder(
        folder=tmp_path / "own", recipe="onnx", data=tmp_path / "x.npz", model=tmp_path / "m.onnx"
    )
    with pytest.raises(InputError, match=told):
        init_project(order)
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_that_is_not_what_its_contract_says_packs_nothing(tmp_path: Path) -> None:
    write_onnx(tmp_path / "m.onnx")
    bundle = bundled(tmp_path, tmp_path / "m.onnx", {"x": normal(9)})
    contract = tmp_path / "own" / "contract.toml"
    text = contract.read_text()
    for wrong, told in (('"batch", 3', "y"), ('"batch", 2, 1', "y")):
        contract.write_text(text.replace('"batch", 2', wrong))
        bundle.unlink(missing_ok=True)
        with pytest.raises(EdgewrightError, match=told):
            run_project(RunOrder(folder=tmp_path / "own"), watch=lambda _: None)
        assert not bundle.exists()


def test_a_model_larger_than_its_budget_is_not_packed(tmp_path: Path) -> None:
    write_onnx(tmp_path / "m.onnx")
    bundle = bundled(tmp_path, tmp_path / "m.onnx", {"x": normal(9)})
    bundle.unlink()
    order = RunOrder(folder=tmp_path / "own", overrides=("budgets.size_mb=0.0001",))
    with pytest.raises(GateError, match=r"size of the model is .* MB, the limit is 0\.0001 MB"):
        run_project(order, watch=lambda _: None)
    assert not bundle.exists()


def test_weights_of_another_framework_say_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UnavailableError, match="optimum-cli export onnx"):
        bundled(tmp_path, tmp_path, {"x": normal(9)})
    assert not (tmp_path / "own").exists()


def _samples(folder: Path, **arrays: NDArray[Any]) -> None:
    (folder / "x.npz").write_bytes(encode_npz(arrays))


def _only_input(model: Path) -> str:
    served = open_servable(model)
    (tensor,) = served.model.contract.inputs
    served.model.close()
    return tensor.name
