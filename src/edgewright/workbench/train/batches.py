"""The batches of one epoch: order, augmentation and mixing, all from (seed, epoch).

What fits in memory is held once on the device where it is used. What lies on disk, or is too large
for a CUDA device, stays where it is: a thread reads the rows of the next batch while the last one
is learnt, into pinned memory where there is a device to copy to. A team's processes form the same
batch, and each learns its part.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional

from edgewright.workbench.data import Rows, Samples, is_on_disk
from edgewright.workbench.recipes import Inputs, ModelFacts, Recipe, Task
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.team import Team

_RESIDENT_SHARE = 0.4

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of every input, and what the loss gets as their target."""

    inputs: Inputs
    target: torch.Tensor


class Column:
    """One array, by rows."""

    def __init__(self, rows: Rows, device: torch.device, *, budget_bytes: float) -> None:
        self._device = device
        self.is_held = not is_on_disk(rows) and _bytes_of(rows) <= budget_bytes
        self._rows = rows
        if self.is_held:
            self._held = torch.from_numpy(np.require(rows[:], requirements=("C", "W"))).to(device)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows, on the device or on their way there."""
        if self.is_held:
            return self._held[rows.to(self._device)]
        read = torch.from_numpy(np.require(self._rows[rows.numpy()], requirements=("C", "W")))
        if self._device.type != "cuda":
            return read
        return read.pin_memory().to(self._device, non_blocking=True)


class Batches:
    """The training rows, dealt out anew in every epoch."""

    def __init__(
        self,
        samples: Samples,
        task: Task,
        options: TrainOptions,
        device: torch.device,
        team: Team | None = None,
    ) -> None:
        budget = _resident_bytes(device)
        arrays = (*samples.inputs.values(), samples.target)
        self._columns = tuple(Column(rows, device, budget_bytes=budget) for rows in arrays)
        self._rows = len(samples)
        self._classes = len(samples.labels)
        self._task = task
        self._options = options
        self._team = team or Team()
        self._size = min(options.batch_size, len(samples))
        self._team.check_batch(self._size)

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
        dealt = [order[step * self._size :][: self._size] for step in range(self.steps)]
        everything_is_held = all(column.is_held for column in self._columns)
        taken = map(self._take, dealt) if everything_is_held else _ahead(self._take, dealt)
        for *inputs, target in taken:
            varied = recipe.augment(tuple(inputs), facts, generator)
            yield self._own_part(self._mixed(Batch(varied, self._targets(target)), generator))

    def _take(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(column.take(rows) for column in self._columns)

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

    def _own_part(self, batch: Batch) -> Batch:
        if self._team.size == 1:
            return batch
        part = self._team.part
        return Batch(tuple(part(x) for x in batch.inputs), part(batch.target))


def _ahead(take: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """`map`, with the next item's work done in a thread while the last one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="next-batch") as pool:
        coming = pool.submit(take, items[0])
        for item in items[1:]:
            ready, coming = coming, pool.submit(take, item)
            yield ready.result()
        yield coming.result()


def _resident_bytes(device: torch.device) -> float:
    """How large an array may be to be held on the device for the whole run."""
    if device.type != "cuda":
        return float("inf")
    free, _ = torch.cuda.mem_get_info(device)
    return _RESIDENT_SHARE * free


def _bytes_of(rows: Rows) -> int:
    return int(np.prod(rows.shape, dtype=np.int64)) * rows.dtype.itemsize
