"""Small bundles that really run: a linear model for the reference engine, and its bad brothers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from edgewright._npz import encode_npz
from edgewright.bundle import Draft, build_bundle
from edgewright.bundle.golden import Golden, encode_golden
from edgewright.contract import Budgets, Contract, Tensor, encode_json
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer
from edgewright.testing.keys import MemorySigner
from edgewright.trust import Signer

MODEL = "tiny"
INPUTS = 4
OUTPUTS = 3

Change = Callable[[dict[str, bytes]], None]


def build_tiny(
    path: Path,
    *,
    version: str = "1",
    name: str = MODEL,
    seed: int = 0,
    signer: Signer | None = None,
    budgets: Budgets | None = None,
    filler_bytes: int = 0,
    output: str = "y",
    hooks: Mapping[str, bytes] | None = None,
    change: Change | None = None,
) -> str:
    """Write a signed bundle of a linear model; returns its id.

    `change` may spoil the contents ("model", "golden") before they are packed and signed.
    """
    contract = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", INPUTS), low=-10, high=10),),
        outputs=(Tensor(name=output, dtype="float32", shape=("batch", OUTPUTS)),),
        budgets=budgets or Budgets(),
    )
    rng = np.random.default_rng([seed, *version.encode()])
    weight = rng.normal(size=(OUTPUTS, INPUTS)).astype(np.float32)
    requests = rng.uniform(-1, 1, size=(4, INPUTS)).astype(np.float32)
    golden = Golden(inputs={"x": requests}, outputs={output: requests @ weight.T})
    contents = {"model": _linear(weight, output), "golden": encode_golden(golden)}
    if change:
        change(contents)
    draft = Draft(
        name=name, version=version, format="reference", precision="fp32", contract=contract
    )
    filler = [("file", "filler.bin", rng.bytes(filler_bytes))] if filler_bytes else []
    blobs = [
        ("model", "model.npz", contents["model"]),
        ("golden", "golden.npz", contents["golden"]),
        *filler,
        *(("hook", file, source) for file, source in (hooks or {}).items()),
    ]
    signers = [signer or MemorySigner.from_seed(1)]
    return build_bundle(path, draft, blobs, signers=signers)  # type: ignore[arg-type]  # roles


def wrong_output(contents: dict[str, bytes]) -> None:
    """A model that answers something else than its golden vectors promise."""
    contents["model"] = _linear(np.full((OUTPUTS, INPUTS), 7, np.float32))


def not_finite(contents: dict[str, bytes]) -> None:
    """A model whose answers are NaN."""
    contents["model"] = _linear(np.full((OUTPUTS, INPUTS), np.nan, np.float32))


def no_model(contents: dict[str, bytes]) -> None:
    """A model file that no engine opens."""
    contents["model"] = b"not a model"


def _linear(weight: np.ndarray, output: str = "y") -> bytes:
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, INPUTS)),),
        outputs=(EngineTensor(name=output, dtype="float32", shape=(None, OUTPUTS)),),
        layers=(Layer(op="linear", inputs=("x",), output=output, weights={"weight": "w"}),),
    )
    text = np.frombuffer(encode_json(graph), np.uint8)
    return encode_npz({"graph": text, "w": weight})
