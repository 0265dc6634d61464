"""The batches of one epoch: order, augmentation and mixing, all from (seed, epoch).

What fits in memory is held once on the device where it is used; what lies on disk stays there, and
only the rows of a batch are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from edgewright.workbench.data import Rows, Samples, is_on_disk
from edgewright.workbench.recipes import Inputs, ModelFacts, Recipe, Task
from edgewright.workbench.train.options import TrainOptions


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of every input, and what the loss gets as their target."""

    inputs: Inputs
    target: torch.Tensor


class Column:
    """One array, by rows."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self._device = device
        self._on_disk = rows if is_on_disk(rows) else None
        if self._on_disk is None:
            self._held = torch.from_numpy(np.ascontiguousarray(rows[:])).to(device)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows, on the device."""
        if self._on_disk is None:
            return self._held[rows.to(self._device)]
        read = np.ascontiguousarray(self._on_disk[rows.numpy()])
        return torch.from_numpy(read).to(self._device)


class Batches:
    """The training rows, dealt out anew in every epoch."""

    def __init__(
        self, samples: Samples, task: Task, options: TrainOptions, device: torch.device
    ) -> None:
        self._inputs = tuple(Column(rows, device) for rows in samples.inputs.values())
        self._target = Column(samples.target, device)
        self._rows = len(samples)
        self._classes = len(samples.labels)
        self._task = task
        self._options = options
        self._size = min(options.batch_size, len(samples))

    @property
    def steps(self) -> int:
        """Whole batches in an epoch; the rows left over are others in every epoch."""
        return self._rows // self._size

    @property
    def rows_a_step(self) -> int:
        """Rows in a batch."""
        return self._size

    def epoch(
        self, recipe: Recipe, facts: ModelFacts, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Every row once but for those left over, in a new order."""
        order = torch.randperm(self._rows, generator=generator)
        for step in range(self.steps):
            rows = order[step * self._size : (step + 1) * self._size]
            taken = tuple(column.take(rows) for column in self._inputs)
            inputs = recipe.augment(taken, facts, generator)
            yield self._mixed(Batch(inputs, self._targets(self._target.take(rows))), generator)

    def _targets(self, y: torch.Tensor) -> torch.Tensor:
        if self._task.kind == "regression":
            return y.float()
        if self._task.kind == "segmentation":
            return y.long()
        smooth = self._options.label_smoothing
        return functional.one_hot(y.long(), self._classes) * (1.0 - smooth) + smooth / self._classes

    def _mixed(self, batch: Batch, generator: torch.Generator) -> Batch:
        if not self._options.mixup:
            return batch
        seed = int(torch.randint(2**31, (1,), generator=generator))
        share = float(np.random.default_rng(seed).beta(self._options.mixup, self._options.mixup))
        partner = torch.randperm(len(batch.target), generator=generator).to(batch.target.device)

        def mixed(x: torch.Tensor) -> torch.Tensor:
            return share * x + (1 - share) * x[partner]

        return Batch(tuple(mixed(x) for x in batch.inputs), mixed(batch.target))
