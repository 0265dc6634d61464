"""`mlp-16` as it is released: signed, with golden answers, a name and a range for each channel."""

from pathlib import Path

import numpy as np

from _models import build_mlp_16
from edgewright.bundle import Draft, build_bundle
from edgewright.bundle.golden import Golden, encode_golden
from edgewright.contract import Channel, Contract, Tensor
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.testing.keys import MemorySigner

_CHANNELS = tuple(Channel(name=f"c{n}", low=-2.0 - n, high=2.0 + n) for n in range(16))


def build_mlp_bundle(folder: Path) -> Path:
    model = build_mlp_16(folder / "mlp-16.onnx")
    rows = np.random.default_rng(1).uniform(-1, 1, (8, 16)).astype(np.float32)
    opened = OnnxRuntime().open(model)
    (given,), (made,) = opened.inputs, opened.outputs
    answers = opened.run({given.name: rows})
    opened.close()
    contract = Contract(
        inputs=(Tensor(name=given.name, dtype="float32", shape=("batch", 16), channels=_CHANNELS),),
        outputs=(Tensor(name=made.name, dtype="float32", shape=("batch", 4)),),
    )
    draft = Draft(name="mlp-16", version="1", format="onnx", precision="fp32", contract=contract)
    blobs = [
        ("model", "model.onnx", model.read_bytes()),
        ("golden", "golden.npz", encode_golden(Golden(inputs={given.name: rows}, outputs=answers))),
    ]
    path = folder / "mlp-16.ewb"
    build_bundle(path, draft, blobs, signers=[MemorySigner.from_seed(1)])
    return path
