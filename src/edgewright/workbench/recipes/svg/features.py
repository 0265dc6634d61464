"""Feature extractors: what a network is told about a picture. A port and its backends.

`pilots` and `statistics` need nothing; `efficientnet-lite0` and `resnet50` take their weights from
a file that the user names.
"""

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgewright._pictures import Picture
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.settings import PILOTS
from edgewright.workbench.recipes.svg.tracing import Row

Vector = NDArray[np.float32]
ExtractorName = Literal["pilots", "statistics", "efficientnet-lite0", "resnet50"]


class Extractor(Protocol):
    """Turns a picture into numbers; `needs_pilots` says whether it must be traced for that.
    `identity` changes whenever the numbers could: the name, with the weights where there are some.
    """

    name: str
    identity: str
    size: int
    needs_pilots: bool

    def features(self, picture: Picture, pilots: tuple[Row, ...]) -> Vector:
        """The numbers of one picture; `pilots` is empty where the extractor needs none."""


def find_extractor(name: ExtractorName, weights: Path | None) -> Extractor:
    """The extractor of a name.

    Raises:
        InputError: it needs a file with weights and none is named.
    """
    if name == "statistics":
        return Statistics()
    if name == "pilots":
        return Pilots()
    if weights is None:
        raise InputError(
            f"features {name!r} need a file with weights",
            hint='add features_file = "PATH" to [recipe]',
        )
    if name == "efficientnet-lite0":
        from edgewright.workbench.recipes.svg.efficientnet import (  # noqa: PLC0415  # needs onnx
            EfficientNetLite0,
        )

        return EfficientNetLite0(weights)
    from edgewright.workbench.recipes.svg.resnet import ResNet50Features  # noqa: PLC0415  # torch

    return ResNet50Features(weights)


class Statistics:
    """Plain numbers of the picture: brightness, edges at three scales, colours, white."""

    name = identity = "statistics"
    size = 24
    needs_pilots = False

    def features(self, picture: Picture, pilots: tuple[Row, ...]) -> Vector:
        pixels = picture.astype(np.float32) / 255
        grey = pixels.mean(axis=2)
        values = [float(pixels[..., colour].mean()) for colour in range(3)]
        values += [float(pixels[..., colour].std()) for colour in range(3)]
        values += [float(np.abs(pixels - grey[..., None]).mean()), float((grey > 0.98).mean())]
        for scale in (1, 2, 4):
            values += _edges(grey[::scale, ::scale])
        values.append(_colours(picture, bits=4))
        return np.array(values, np.float32)


class Pilots:
    """What ten fixed settings gave on this very picture (SSIM and size), and its statistics."""

    name = identity = "pilots"
    size = 2 * len(PILOTS) + Statistics.size
    needs_pilots = True

    def features(self, picture: Picture, pilots: tuple[Row, ...]) -> Vector:
        seen = [row.ssim for row in pilots] + [np.log(row.svg_bytes) / 10 for row in pilots]
        plain = Statistics().features(picture, ())
        return np.concatenate([np.array(seen, np.float32), plain])


def _edges(grey: NDArray[np.float32]) -> list[float]:
    """How strong and how many; across and down together."""
    steps = np.concatenate([np.abs(np.diff(grey, axis=0)).ravel(), np.abs(np.diff(grey)).ravel()])
    return [
        float(steps.mean()),
        float(steps.std()),
        float((steps > 0.02).mean()),
        float((steps > 0.1).mean()),
        float((steps > 0.4).mean()),
    ]


def _colours(picture: Picture, *, bits: int) -> float:
    """The logarithm of the number of colours that `bits` bits a channel tell apart."""
    coarse = (picture >> (8 - bits)).astype(np.uint32)
    flat = (coarse[..., 0] << 16 | coarse[..., 1] << 8 | coarse[..., 2]).ravel()
    return float(np.log(len(np.unique(flat))))
