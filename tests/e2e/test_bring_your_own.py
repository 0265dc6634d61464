"""A model of one's own: from a file and samples to a signed bundle that a server answers with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright._npz import encode_npz
from edgewright.bundle import open_bundle
from edgewright.chain.serving import open_servable


def cli(*arguments: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def write_model(path: Path) -> None:
    """tanh(x w): five inputs, three outputs."""
    weight = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "w"], ["h"]),
            helper.make_node("Tanh", ["h"], ["scores"]),
        ],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 5])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 20)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_model(folder / "net.onnx")
    samples = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    (folder / "x.npz").write_bytes(encode_npz({"features": samples}))
    (folder / "wrong.npz").write_bytes(encode_npz({"input": samples}))
    return folder


@pytest.mark.timeout(400)
def test_any_onnx_becomes_a_bundle_that_is_served(folder: Path) -> None:
    cli("init", "p", "--recipe", "onnx", "--model", "net.onnx", "--data", "x.npz", cwd=folder)
    found = json.loads(cli("run", "--project", "p", "--json", cwd=folder))
    facts = {stage["stage"]: stage["facts"] for stage in found["stages"]}
    assert "nothing was trained" in facts["train"]["skipped"]
    assert facts["optimize"]["held_on"] == "agreement with the given model"
    assert facts["verify"]
    bundle = open_bundle(folder / found["bundle"])
    assert bundle.manifest.contract.provenance.recipe == "onnx"
    card = bundle.read(bundle.blob("card")).decode()
    assert "Unknown: the model is given" in card
    served = open_servable(folder / found["bundle"])
    assert served.golden is not None
    assert served.is_signed
    answers = served.model.predict(served.golden.inputs)
    assert np.allclose(answers["scores"], served.golden.outputs["scores"], atol=1e-5)
    served.model.close()
    again = json.loads(cli("run", "--project", "p", "--json", cwd=folder))
    assert again["stages"] == found["stages"]

    contract = folder / "p" / "contract.toml"
    contract.write_text(contract.read_text().replace('"scores"', '"votes"'))
    told = cli("run", "--project", "p", cwd=folder, code=2)
    assert "does not keep contract.toml" in told
    assert "votes" in told


@pytest.mark.timeout(200)
def test_samples_with_the_wrong_names_leave_nothing_behind(folder: Path) -> None:
    arguments = ("--recipe", "onnx", "--model", "net.onnx", "--data", "wrong.npz")
    told = cli("init", "q", *arguments, cwd=folder, code=2)
    assert "name the arrays like the model's inputs: features float32 ['batch', 5]" in told
    assert not (folder / "q").exists()
