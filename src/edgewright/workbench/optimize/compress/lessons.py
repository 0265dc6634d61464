"""What a student learns from: the run's own module as its teacher, and the rows that it was trained
on. Rows of people that the run did not see judge, and never teach.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgewright.errors import InputError
from edgewright.workbench.data import Samples
from edgewright.workbench.recipes import Inputs, Recipe, find_recipe
from edgewright.workbench.train import RunRecord, load_run
from edgewright.workbench.train.job import open_data

_EXAMPLE_ROWS = 2


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """A finished run with its recipe and its data."""

    recipe: Recipe
    record: RunRecord
    teacher: nn.Module
    train: Samples
    held_out: Samples

    @property
    def example(self) -> Inputs:
        """A few rows, for whoever wants to trace the network."""
        rows = self.train.take(np.arange(_EXAMPLE_ROWS))
        arrays = (np.require(a[:], requirements=("C", "W")) for a in rows.inputs.values())
        return tuple(torch.from_numpy(array) for array in arrays)


def read_lessons(run: Path, *, data: Path) -> Lessons:
    """A run and its data; `data` is the project's folder, where relative sources start and stored
    datasets lie.

    Raises:
        InputError: no finished run, data that are not those it was trained on, or a run that does
            not say who was held out.
    """
    module, record = load_run(run)
    recipe = find_recipe(record.recipe).with_options(record.recipe_options, source=str(run))
    split = record.origin.split
    if split is None:
        raise InputError(
            f"{run}: the run does not say who was trained on",
            hint="train with `edgewright train` or `edgewright run`, which note the split",
        )
    found = open_data(recipe, dataset=record.origin.dataset, folder=data)
    held_out = (*split.val, *split.test)
    if not held_out:
        raise InputError(
            f"{run}: nobody was held out of this run",
            hint="give --eval with rows that it did not see",
        )
    return Lessons(
        recipe=recipe,
        record=record,
        teacher=module,
        train=recipe.cut(found, split.train),
        held_out=recipe.cut(found, held_out),
    )
