"""Small recipes of the other tasks: values from two inputs, and masks of small pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgewright.contract import Contract
from edgewright.workbench.data import SampleSet, Split, row_shapes
from edgewright.workbench.recipes import (
    REGRESSION,
    SEGMENTATION,
    Inputs,
    ModelFacts,
    Moment,
    Task,
)


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to choose."""


class Toy:
    """What both have in common; none of them loads data."""

    name = "toy"
    task: Task
    options = NoOptions()
    training: Mapping[str, Any] = {}

    def with_options(self, raw: Mapping[str, Any], *, source: str) -> Self:
        return type(self)()

    def sources(self, folder: Path) -> tuple[Path, ...]:
        return ()

    def load_data(self, folder: Path) -> Any:
        raise NotImplementedError

    def split(self, data: Any) -> Split:
        raise NotImplementedError

    def cut(self, data: Any, subjects: tuple[str, ...]) -> SampleSet:
        raise NotImplementedError

    def contract(self, facts: ModelFacts) -> Contract:
        raise NotImplementedError

    def facts(self, samples: SampleSet) -> ModelFacts:
        return ModelFacts(inputs=row_shapes(samples), labels=samples.labels)

    def fit(self, module: nn.Module, train: SampleSet) -> None:
        return None

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        return inputs


class TwoInputs(nn.Module):
    """Features and settings to one value."""

    def __init__(self, features: int, settings: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(features + settings, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1)
        )

    def forward(self, features: torch.Tensor, settings: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.inner(torch.cat([features, settings], dim=1)).squeeze(1),)


class OneLayer(nn.Module):
    """Pictures to logits of every pixel."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.only = nn.Conv2d(channels, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.only(image),)


class ValueRecipe(Toy):
    """One value from two inputs."""

    task = msgspec.structs.replace(REGRESSION, unit="drawing", group="image", groups="images")

    def build(self, facts: ModelFacts) -> nn.Module:
        return TwoInputs(facts.inputs["features"][0], facts.inputs["settings"][0])

    def loss(
        self, module: nn.Module, inputs: Inputs, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        loss: torch.Tensor = functional.mse_loss(module(*inputs)[-1], target)
        return loss


class MaskRecipe(Toy):
    """A class for every pixel."""

    task = msgspec.structs.replace(SEGMENTATION, unit="picture", group="place", groups="places")

    def build(self, facts: ModelFacts) -> nn.Module:
        return OneLayer(facts.inputs["image"][0], len(facts.labels))

    def loss(
        self, module: nn.Module, inputs: Inputs, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        return functional.cross_entropy(module(*inputs)[-1], target, ignore_index=-1)


def value_samples(folder: Path, rows: int = 240, *, on_disk: bool = True) -> SampleSet:
    """Six images, four features on disk, two settings in memory, and a value that follows."""
    rng = np.random.default_rng(0)
    path = folder / "features.npy"
    if not path.exists():
        np.save(path, rng.normal(size=(rows, 4)).astype(np.float32))
    features = np.load(path, mmap_mode="r" if on_disk else None)
    settings = np.random.default_rng(1).uniform(size=(rows, 2)).astype(np.float32)
    target = 0.3 * features[:, 0] - 0.2 * features[:, 1] + settings[:, 0]
    return SampleSet(
        inputs={"features": features, "settings": settings},
        target=np.asarray(target, np.float32),
        group=np.array([f"image {n % 6}" for n in range(rows)]),
    )


def mask_samples(rows: int = 24) -> SampleSet:
    """Pictures whose first channel says the class, with a border that nobody labelled."""
    rng = np.random.default_rng(2)
    image = rng.normal(size=(rows, 2, 8, 8)).astype(np.float32)
    mask = (image[:, 0] > 0).astype(np.int64)
    mask[:, 0] = -1
    return SampleSet(
        inputs={"image": image},
        target=mask,
        group=np.array([f"place {n % 4}" for n in range(rows)]),
        labels=("low", "high"),
    )
