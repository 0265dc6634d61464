"""The reference models that are networks of the recipes, untrained; see `bench/models.toml`.

Needs the extras `svg` and `vision`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.recipes.har import QuickNetwork, TcnVae
from edgewright.workbench.recipes.image_segmentation.network import UNet
from edgewright.workbench.recipes.svg.networks import WIDE_FEATURES, Wide
from edgewright.workbench.recipes.svg.settings import PARAMETERS


def _export(
    path: Path, module: torch.nn.Module, *examples: NDArray[np.float32], outputs: str
) -> Path:
    names = ("x", "settings")[: len(examples)]
    export_onnx(module, examples, path, inputs=names, outputs=tuple(outputs.split()))
    return path


def build_tcn_vae_encoder(path: Path, *, seed: int = 3) -> Path:
    """What the TCN-VAE serves: three causal blocks 64/128/256, k=3, on windows of 100 x 9."""
    torch.manual_seed(seed)
    module = TcnVae(length=100, channels=9, classes=12, latent=64, dropout=0.2, masks=False)
    return _export(path, module, np.ones((2, 100, 9), np.float32), outputs="latent logits")


def build_har_quick(path: Path, *, seed: int = 7) -> Path:
    """The residual CNN of the activity recipe on windows of 100 x 6."""
    torch.manual_seed(seed)
    module = QuickNetwork(channels=6, classes=6, widths=(48, 96, 128), latent=64, masks=False)
    return _export(path, module, np.ones((2, 100, 6), np.float32), outputs="latent logits")


def build_mlp_svg(path: Path, *, seed: int = 9) -> Path:
    """2056 -> 1024 -> 512 -> 256 -> 1 on 2048 features and the settings of a tracer."""
    torch.manual_seed(seed)
    examples = np.ones((2, WIDE_FEATURES), np.float32), np.ones((2, len(PARAMETERS)), np.float32)
    return _export(path, Wide(WIDE_FEATURES), *examples, outputs="ssim")


def build_unet_16(path: Path, *, seed: int = 11) -> Path:
    """The U-Net of the segmentation recipe, 16 channels wide, on pictures of 64 x 64."""
    torch.manual_seed(seed)
    picture = np.ones((2, 64, 64, 3), np.float32)
    return _export(path, UNet(classes=2, width=16), picture, outputs="logits")


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "tcn-vae-encoder": build_tcn_vae_encoder,
    "har-quick": build_har_quick,
    "mlp-svg": build_mlp_svg,
    "unet-16": build_unet_16,
}
