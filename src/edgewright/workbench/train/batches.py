"""The batches of one epoch: order, augmentation and mixing, all from (seed, epoch)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from edgewright.workbench.data import WindowSet
from edgewright.workbench.recipes import ModelFacts, Recipe
from edgewright.workbench.train.options import TrainOptions

Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """The training windows, held once on the device where they are used."""

    def __init__(self, windows: WindowSet, options: TrainOptions, device: torch.device) -> None:
        self._x = torch.from_numpy(windows.x).to(device)
        self._y = torch.from_numpy(windows.y).to(device)
        self._classes = len(windows.label_names)
        self._options = options
        self._size = min(options.batch_size, len(windows))

    @property
    def steps(self) -> int:
        """Whole batches in an epoch; the windows left over are others in every epoch."""
        return len(self._x) // self._size

    @property
    def windows_a_step(self) -> int:
        """Windows in a batch."""
        return self._size

    def epoch(
        self, recipe: Recipe, facts: ModelFacts, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Windows and the probability of each class, in a new order."""
        order = torch.randperm(len(self._x), generator=generator).to(self._x.device)
        for step in range(self.steps):
            rows = order[step * self._size : (step + 1) * self._size]
            x = recipe.augment(self._x[rows], facts, generator)
            yield self._mixed(x, self._targets(self._y[rows]), generator)

    def _targets(self, y: torch.Tensor) -> torch.Tensor:
        smooth = self._options.label_smoothing
        return functional.one_hot(y, self._classes) * (1.0 - smooth) + smooth / self._classes

    def _mixed(self, x: torch.Tensor, target: torch.Tensor, generator: torch.Generator) -> Batch:
        if not self._options.mixup:
            return x, target
        seed = int(torch.randint(2**31, (1,), generator=generator))
        share = float(np.random.default_rng(seed).beta(self._options.mixup, self._options.mixup))
        partner = torch.randperm(len(x), generator=generator).to(x.device)
        return (
            share * x + (1 - share) * x[partner],
            share * target + (1 - share) * target[partner],
        )
