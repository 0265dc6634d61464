"""The recipe: tiles of pictures, and a class for each pixel."""

from pathlib import Path

import msgspec
import torch
from torch import nn

from edgewright.contract import Budgets, Contract, Tensor
from edgewright.workbench.data import SampleSet
from edgewright.workbench.recipes.base import SEGMENTATION, Inputs, ModelFacts
from edgewright.workbench.recipes.image_segmentation.network import UNet
from edgewright.workbench.recipes.image_segmentation.reading import read_tiles
from edgewright.workbench.recipes.sampled import SampledRecipe


class MaskOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[recipe]`: a folder with `NAME.png` (or .jpg) beside `NAME_mask.png`, or with `images/` and
    `masks/`. Pictures are scaled so that the short side has `tiles` tiles of `size` pixels.
    A pixel whose mask is `unknown` (often 255) is neither learnt nor scored. `split` says what
    never stands on two sides: a whole picture, or only a tile where there are too few pictures;
    then every report says so.
    """

    source: str = ""
    size: int = 64
    tiles: int = 2
    width: int = 16
    labels: tuple[str, ...] = ()
    unknown: int | None = None
    split: str = "picture"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size % 8 or not 16 <= self.size <= 512:
            raise ValueError(f"size is {self.size}, expected a multiple of 8 from 16 to 512")
        if self.tiles < 1 or self.width < 1:
            raise ValueError("tiles and width are 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")
        if self.unknown is not None and not 0 <= self.unknown <= 255:
            raise ValueError(f"unknown is {self.unknown}, expected a mask value of 0 to 255")
        if self.split not in ("picture", "tile"):
            raise ValueError(f"split is {self.split!r}, expected 'picture' or 'tile'")


class ImageSegmentation(SampledRecipe[MaskOptions]):
    """Which class every pixel shows."""

    name = "image-segmentation"
    task = msgspec.structs.replace(SEGMENTATION, unit="tile", group="picture", groups="pictures")
    Options = MaskOptions

    def read(self, folder: Path) -> SampleSet:
        options = self.options
        return read_tiles(
            self.source(folder),
            size=options.size,
            tiles=options.tiles,
            labels=options.labels,
            unknown=options.unknown,
            by_tile=options.split == "tile",
        )

    def build(self, facts: ModelFacts) -> nn.Module:
        return UNet(classes=len(facts.labels), width=self.options.width)

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        """Brighter or darker: the mask stays where it is."""
        (image,) = inputs
        gain = 0.8 + 0.4 * torch.rand((len(image), 1, 1, 1), generator=generator)
        return ((image * gain.to(image.device)).clamp(0, 255),)

    def input_tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return Tensor(
            name=name, dtype="float32", shape=("batch", *shape), unit="RGB", low=0.0, high=255.0
        )

    def contract(self, facts: ModelFacts) -> Contract:
        budgets = Budgets(latency_p95_ms=50.0, memory_mb=512.0, size_mb=20.0)
        return msgspec.structs.replace(super().contract(facts), budgets=budgets)
