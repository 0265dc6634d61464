"""The recipe: what the network sees is a square RGB picture of 0 to 255, scaled by area."""

from pathlib import Path

import msgspec
import torch
from torch import nn

from edgewright.contract import Budgets, Contract, Tensor
from edgewright.workbench.data import SampleSet
from edgewright.workbench.recipes.base import CLASSIFICATION, Inputs, ModelFacts
from edgewright.workbench.recipes.image_classification.network import SmallNet
from edgewright.workbench.recipes.image_classification.reading import LABEL_FILE, read_pictures
from edgewright.workbench.recipes.sampled import SampledRecipe


class ImageOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[recipe]`: a folder with one folder of pictures per class, or a Parquet file with pictures
    (`jpeg`, `png` or `image`) and `label`. `limit` keeps that many drawn rows; 0 keeps all.
    """

    source: str = ""
    size: int = 32
    widths: tuple[int, ...] = (24, 48, 96)
    limit: int = 0
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 512:
            raise ValueError(f"size is {self.size}, expected 8 to 512 pixels")
        if not self.widths or self.size >> len(self.widths) < 1 or min(self.widths) < 1:
            raise ValueError(f"widths {list(self.widths)} do not fit {self.size} pixels")
        if self.limit < 0 or self.seed < 0:
            raise ValueError(f"limit {self.limit} and seed {self.seed} are 0 or more")


class ImageClassification(SampledRecipe[ImageOptions]):
    """Which class a picture shows."""

    name = "image-classification"
    task = msgspec.structs.replace(
        CLASSIFICATION, unit="picture", group="picture", groups="pictures"
    )
    Options = ImageOptions

    def sources(self, folder: Path) -> tuple[Path, ...]:
        names = self.source(folder).parent / LABEL_FILE
        return super().sources(folder) + ((names,) if names.is_file() else ())

    def read(self, folder: Path) -> SampleSet:
        options = self.options
        return read_pictures(
            self.source(folder), size=options.size, limit=options.limit, seed=options.seed
        )

    def build(self, facts: ModelFacts) -> nn.Module:
        return SmallNet(classes=len(facts.labels), widths=self.options.widths)

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        """Mirrored and shifted by up to an eighth of the picture."""
        (image,) = inputs
        if self.options.flip:
            coin = torch.rand(len(image), generator=generator).to(image.device) < 0.5
            image = torch.where(coin[:, None, None, None], image.flip(2), image)
        reach = max(1, image.shape[1] // 8)
        across, down = (int(v) for v in torch.randint(-reach, reach + 1, (2,), generator=generator))
        return (torch.roll(image, shifts=(down, across), dims=(1, 2)),)

    def input_tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return Tensor(
            name=name, dtype="float32", shape=("batch", *shape), unit="RGB", low=0.0, high=255.0
        )

    def contract(self, facts: ModelFacts) -> Contract:
        budgets = Budgets(latency_p95_ms=50.0, memory_mb=512.0, size_mb=20.0)
        return msgspec.structs.replace(super().contract(facts), budgets=budgets)
