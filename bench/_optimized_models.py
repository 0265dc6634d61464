"""The eight models of `optimize.py` with what they are calibrated and judged on."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pyarrow.parquet as pq
import torch
from PIL import Image

import _recipe_models
from _results import ROOT
from edgewright.chain.engines import engine_for_format
from edgewright.contract import Channel
from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.child_venv import find_python
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.data import draw_calibration
from edgewright.workbench.given.tensorflow_files import TENSORFLOW
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.recipes.base import ModelFacts
from edgewright.workbench.recipes.har import HarRecipe
from edgewright.workbench.train import load_run, train, train_options
from edgewright.workbench.verify import run_rows

DATA = ROOT.parent / "shared" / "data"
CALIBRATED = 64
OWN_ROWS = 240
SIX = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
LEARNT = ("1", "3", "5")
JUDGES = ("2", "4", "9", "10", "12", "13", "18", "20", "24")
CHANNELS = tuple(
    Channel(name=f"{sensor}_{axis}", unit=unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"))
    for axis in "xyz"
)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A model, the points it may lose, and its arrays as `optimize` takes them."""

    model: Path
    max_drop: float
    calibration: dict[str, Array]
    evaluation: dict[str, Array]
    labels: str


def _own_answers(model: Path, inputs: dict[str, Array], output: str) -> Case:
    """Judged by what the float model says itself: five points of 100 * (1 - RMSE / std)."""
    session = engine_for_format("onnx").open(model, threads=1)
    answers = run_rows(session, inputs)[output]
    session.close()
    return Case(
        model=model,
        max_drop=5.0,
        calibration={name: array[:CALIBRATED] for name, array in inputs.items()},
        evaluation={
            **{name: array[CALIBRATED:] for name, array in inputs.items()},
            "y": answers[CALIBRATED:],
        },
        labels="the float model's own answers",
    )


def _noise(*shape: int) -> Array:
    size = (CALIBRATED + OWN_ROWS, *shape)
    return np.random.default_rng(0).normal(size=size).astype(np.float32)


def _tcn_vae(folder: Path) -> Case:
    """The encoder of the TCN-VAE, trained on three people of HAPT and judged by nine others."""
    recipe = HarRecipe().with_options(
        {
            "source": str(DATA / "hapt" / "hapt.npz"),
            "labels": list(SIX),
            "architecture": "tcn-vae",
            "hop_s": 2.0,
        },
        source="bench/optimize.py",
    )
    dataset = recipe.load_data(ROOT)
    learnt, judges = (recipe.cut(dataset, who) for who in (LEARNT, JUDGES))
    run = folder / "run"
    if not (run / "run.json").is_file():
        raw = {"epochs": 4, "threads": 1, "lr": 1.5e-3, "schedule": "one-cycle", "seed": 1}
        options = train_options(recipe, raw, source="bench/optimize.py")
        watched = judges.take(np.arange(0, len(judges), 20))
        train(recipe, learnt, watched, options, run, resume=True)
    module, record = load_run(run)
    path = folder / "model.onnx"
    example = input_arrays(learnt.take(np.arange(2)))
    outputs = graph_outputs(recipe.contract(record.facts))
    export_onnx(module, example, path, inputs=tuple(example), outputs=outputs)
    return Case(
        model=path,
        max_drop=0.5,
        calibration=input_arrays(draw_calibration(learnt, count=CALIBRATED)),
        evaluation={**input_arrays(judges), "y": judges.target, "group": judges.group},
        labels="activities of nine people",
    )


def _mlp_svg(folder: Path) -> Case:
    path = _recipe_models.build_mlp_svg(folder / "model.onnx")
    taken = {
        tensor.name: _noise(*(dim.dim_value for dim in tensor.type.tensor_type.shape.dim[1:]))
        for tensor in onnx.load(path).graph.input
    }
    return _own_answers(path, taken, "ssim")


def _unet(folder: Path) -> Case:
    path = _recipe_models.build_unet_16(folder / "model.onnx")
    return _own_answers(path, {"x": np.abs(_noise(64, 64, 3)[:160]) / 3}, "logits")


def _recipe_network(architecture: str) -> Callable[[Path], Case]:
    def build(folder: Path) -> Case:
        facts = ModelFacts(length=100, channels=CHANNELS, labels=SIX, rate_hz=50.0)
        options: dict[str, Any] = {"architecture": architecture}
        recipe = find_recipe("har").with_options(options, source="bench/optimize.py")
        torch.manual_seed(0)
        path = folder / "model.onnx"
        outputs = graph_outputs(recipe.contract(facts))
        export_onnx(
            recipe.build(facts).eval(),
            {"x": _noise(100, 6)[:2]},
            path,
            inputs=("x",),
            outputs=outputs,
        )
        return _own_answers(path, {"x": _noise(100, 6)}, "logits")

    return build


def tensorflow_lite(name: str, folder: Path) -> tuple[Path, str, str]:
    """A TensorFlow Lite file as ONNX, with the names of its input and output.

    Raises:
        UnavailableError: no environment with TensorFlow.
    """
    python = find_python(TENSORFLOW)
    if python is None:
        raise UnavailableError("TensorFlow's environment is not here", hint="make setup")
    path = folder / "model.onnx"
    if not path.exists():
        source = DATA / "mlperf-tiny" / f"{name}_fp32.tflite"
        wanted = ["--tflite", str(source), "--output", str(path), "--opset", "18"]
        command = [str(python), "-m", "tf2onnx.convert", *wanted]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    graph = onnx.load(path).graph
    return path, graph.input[0].name, graph.output[0].name


def _resnet8(folder: Path) -> Case:
    """MLPerf Tiny's image classifier on CIFAR-10's test pictures."""
    path, name, _ = tensorflow_lite("ic_resnet8", folder)
    table = pq.read_table(DATA / "cifar10" / "cifar10_test_A.parquet").slice(0, 1264)
    pictures = np.stack(
        [np.asarray(Image.open(io.BytesIO(one.as_py())), np.float32) for one in table["jpeg"]]
    )
    return Case(
        model=path,
        max_drop=1.0,
        calibration={name: pictures[:CALIBRATED]},
        evaluation={
            name: pictures[CALIBRATED:],
            "y": np.asarray(table["label"], np.int64)[CALIBRATED:],
        },
        labels="CIFAR-10",
    )


def _vww(folder: Path) -> Case:
    path, name, output = tensorflow_lite("vww_mbv1_025", folder)
    rows = np.random.default_rng(0).uniform(size=(224, 6, 6, 3)).astype(np.float32)
    pictures = rows.repeat(16, axis=1).repeat(16, axis=2)
    return _own_answers(path, {name: pictures}, output)


def _auto_encoder(folder: Path) -> Case:
    path, name, output = tensorflow_lite("ad01", folder)
    return _own_answers(path, {name: _noise(640)}, output)


CASES: dict[str, Callable[[Path], Case]] = {
    "mlp-svg": _mlp_svg,
    "auto-encoder": _auto_encoder,
    "gru": _recipe_network("gru"),
    "transformer": _recipe_network("transformer"),
    "resnet-8": _resnet8,
    "vww-mobilenet": _vww,
    "tcn-vae-encoder": _tcn_vae,
    "unet-16": _unet,
}
