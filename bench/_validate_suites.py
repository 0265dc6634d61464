"""How long `--quick` and `--full` take on a bundle of `tcn-vae-encoder`, and what they find there.

The limits are those of the first users: p95 below 50 ms at 250 requests a second, below 512 MB.
It is the activity model that they run (`bench/models.toml`), with random weights.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from _recipe_models import build_tcn_vae_encoder
from _results import Recording
from edgewright.bundle import Draft, build_bundle
from edgewright.bundle.golden import Golden, encode_golden
from edgewright.contract import Budgets, Contract, Tensor
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.testing.keys import MemorySigner

BUDGETS = Budgets(latency_p95_ms=50.0, throughput_rps=250.0, memory_mb=512.0)


def run() -> None:
    with Recording("validate-suites") as recording, tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder))
        for name in ("quick", "full"):
            out = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", "edgewright", "validate", bundle, f"--{name}"]
            subprocess.run([*command, "--out", out], check=False, stdout=subprocess.DEVNULL)
            suite = json.loads(out.read_bytes())
            _tell(recording, name, suite)
    for name, value in recording.figures.items():
        print(f"{name:44} {value}")


def _tell(recording: Recording, name: str, suite: dict) -> None:
    recording.figures[f"{name}_seconds"] = round(suite["seconds"], 1)
    recording.figures[f"{name}_verdict"] = suite["outcome"]
    recording.raw[name] = [
        {
            "scenario": one["scenario"],
            "outcome": one["verdict"]["outcome"],
            "reasons": one["verdict"].get("reasons", []),
            "gates": one["verdict"].get("gates", []),
            "noise": one["noise"],
            "seconds": round(one["seconds"], 1),
        }
        for one in suite["reports"]
    ]
    for one in suite["reports"]:
        figures = {figure["name"]: figure["value"] for figure in one["figures"]}
        scenario = one["scenario"].replace("-", "_")
        recording.figures[f"{name}_{scenario}_verdict"] = one["verdict"]["outcome"]
        if one["scenario"] == "server":
            recording.figures[f"{name}_server_p95_ms"] = round(figures["latency p95"], 2)
            recording.figures[f"{name}_server_memory_mb"] = round(figures["server memory peak"], 1)
        if one["scenario"] == "offline":
            recording.figures[f"{name}_offline_rps"] = round(figures["throughput"], 1)


def write_bundle(folder: Path) -> Path:
    model = build_tcn_vae_encoder(folder / "tcn.onnx")
    rng = np.random.default_rng(0)
    opened = OnnxRuntime().open(model)
    (given,) = opened.inputs
    rows = rng.normal(size=(8, *given.shape[1:])).astype(np.float32)
    runs = [opened.run({given.name: row[None]}) for row in rows]
    answers = {
        made.name: np.concatenate([run[made.name] for run in runs]) for made in opened.outputs
    }
    contract = Contract(
        inputs=(Tensor(name=given.name, dtype="float32", shape=("batch", *given.shape[1:])),),
        outputs=tuple(
            Tensor(name=name, dtype="float32", shape=("batch", *found.shape[1:]))
            for name, found in answers.items()
        ),
        rate_hz=50.0,
        budgets=BUDGETS,
    )
    golden = Golden(inputs={given.name: rows}, outputs=answers)
    draft = Draft(
        name="tcn-vae-encoder", version="1", format="onnx", precision="fp32", contract=contract
    )
    blobs = [
        ("model", "model.onnx", model.read_bytes()),
        ("golden", "golden.npz", encode_golden(golden)),
    ]
    path = folder / "tcn-vae-encoder.ewb"
    build_bundle(path, draft, blobs, signers=[MemorySigner.from_seed(1)])
    return path
