"""ResNet-50 without its classifier: 2048 numbers a picture, weights from a file of tensors whose
names are the usual ones (conv1, layer1.0.conv1, ...).
"""

import hashlib
import io
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgewright._fs import read_limited
from edgewright._pictures import Picture, resized
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.features import Vector
from edgewright.workbench.recipes.svg.tracing import Row

SIDE = 224
FILE_LIMIT_BYTES = 512 << 20
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_DEPTHS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """Narrow, look around, widen; beside a shortcut."""

    def __init__(self, inside: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, 4 * width, 1, stride=stride, bias=False),
                nn.BatchNorm2d(4 * width),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50(nn.Module):
    """The trunk: pictures [rows, 3, 224, 224] to [rows, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inside = 64
        for number, depth in enumerate(_DEPTHS):
            width = 64 * 2**number
            blocks = []
            for at in range(depth):
                blocks.append(Bottleneck(inside, width, stride=2 if at == 0 and number else 1))
                inside = 4 * width
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for number in range(len(_DEPTHS)):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x.mean(dim=(2, 3))


class ResNet50Features:
    """The extractor."""

    name = "resnet50"
    size = 2048
    needs_pilots = False

    def __init__(self, weights: Path) -> None:
        self._trunk = ResNet50().eval()
        content = read_limited(weights, limit_bytes=FILE_LIMIT_BYTES)
        self.identity = f"{self.name} {hashlib.sha256(content).hexdigest()}"
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            kept = {name: value for name, value in state.items() if not name.startswith("fc.")}
            self._trunk.load_state_dict(kept)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable"
            raise InputError(
                f"{weights}: no weights of a ResNet-50: {reason}",
                hint="a file of torch.save(model.state_dict()) with the usual names",
            ) from error

    def features(self, picture: Picture, pilots: tuple[Row, ...]) -> Vector:
        scaled = resized(picture, SIDE, SIDE).astype(np.float32) / 255
        scaled = (scaled - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
        with torch.inference_mode():
            rows = torch.from_numpy(scaled.transpose(2, 0, 1)[np.newaxis].copy())
            return np.asarray(self._trunk(rows)[0].numpy(), np.float32)
