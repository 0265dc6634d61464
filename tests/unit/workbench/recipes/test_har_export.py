"""Every network of the recipe as an ONNX file, compared to itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgewright.contract import Channel
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.convert.torch_onnx import OPSET, export_onnx
from edgewright.workbench.recipes import ModelFacts
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.verify import verify

CHANNELS = tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz")
FACTS = ModelFacts(length=40, channels=CHANNELS, labels=("a", "b", "c"), rate_hz=20.0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "architecture",
    ["har-quick", "har-fusion", "har-branches", "tcn-vae", "gru", "cnn-lstm", "transformer"],
)
def test_a_network_survives_export(tmp_path: Path, architecture: str) -> None:
    torch.manual_seed(1)
    options = HarOptions(architecture=architecture, widths=(8, 16), latent=8, masks_absent=True)
    module = HarRecipe(options).build(FACTS).eval()
    x = np.random.default_rng(0).normal(size=(16, 40, 3)).astype(np.float32)
    path = tmp_path / "net.onnx"
    record = export_onnx(module, (x[:2],), path, inputs=("x",), outputs=("latent", "logits"))
    assert OPSET >= 20
    assert record.opset == OPSET
    session = OnnxRuntime().open(path)

    def reference(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(arrays["x"]))
        return {n: o.numpy() for n, o in zip(("latent", "logits"), outputs, strict=True)}

    report = verify(reference, session.run, {"x": x}, labels=np.arange(16) % 3)
    assert report.ok, report.reasons
