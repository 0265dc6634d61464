"""The processes that train together: who I am among them, and how we agree.

One process alone is a team of one, where nothing is sent. Several come from `torchrun` or Ray,
which set up torch's process group.
"""

from typing import TypeVar

import msgspec
import torch
from torch import distributed, nn

from edgewright.errors import InputError
from edgewright.workbench.recipes import Inputs, Moment, Recipe

T = TypeVar("T")


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """`size` processes, of which this one is number `rank`."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process evaluates, writes and tells."""
        return self.rank == 0

    def share(self, value: T) -> T:
        """The leader's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean over the team."""
        if self.size == 1:
            return value
        total = value.clone()
        distributed.all_reduce(total)
        return total / self.size

    def part(self, rows: torch.Tensor) -> torch.Tensor:
        """This process's rows of a batch."""
        count = len(rows) // self.size
        return rows[self.rank * count : (self.rank + 1) * count]

    def check_batch(self, rows: int) -> None:
        """Refuse a batch that cannot be dealt out evenly.

        Raises:
            InputError: say so.
        """
        if rows % self.size:
            raise InputError(
                f"a batch of {rows} rows cannot be dealt out to {self.size} processes",
                hint=f"make train.batch_size a multiple of {self.size}",
            )


def joined_team() -> Team:
    """The team of the process group that is set up already, or this process alone."""
    if not distributed.is_initialized():
        return Team()
    return Team(rank=distributed.get_rank(), size=distributed.get_world_size())


class Objective(nn.Module):
    """A recipe's loss as a module, so that gradients are averaged over a team while they form."""

    def __init__(self, recipe: Recipe, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._recipe = recipe

    def forward(self, inputs: Inputs, target: torch.Tensor, moment: Moment) -> torch.Tensor:
        return self._recipe.loss(self.module, inputs, target, moment)


def in_team(objective: Objective, team: Team) -> nn.Module:
    """The objective, wrapped where there is more than one process."""
    if team.size == 1:
        return objective
    return nn.parallel.DistributedDataParallel(objective)
