"""What the stages of one project share: its file, its recipe, and what the chain handed in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import read_limited
from edgewright.clock import Clock, iso
from edgewright.contract import Contract, decode_json
from edgewright.runtimes import Runtime
from edgewright.trust import Signer
from edgewright.workbench.data import Dataset, DatasetStore, Samples, Split
from edgewright.workbench.pipeline.project import Project
from edgewright.workbench.pipeline.stage import Workshop
from edgewright.workbench.recipes import OwnData, Recipe
from edgewright.workbench.train.job import Means, Trainer, do_job, open_data

DATASET_OUTPUT = "dataset.txt"
SPLIT_OUTPUT = "split.json"

_LIMIT_BYTES = 1 << 20


MakeReference = Callable[[NDArray[Any], NDArray[np.str_], Contract], bytes]
"""From training windows, whom each is from and the model's contract: the content of the reference
that devices judge drift by. Raises InputError where the windows are too few or of too few people.
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One project about to be walked. `engine` finds the runtime of a format, `trainer` does a
    training job by the `means` asked for, `reference` learns what is normal for a model's inputs.
    """

    folder: Path
    project: Project
    recipe: Recipe
    engine: Callable[[str], Runtime]
    signer: Callable[[Path], Signer]
    command: str
    clock: Clock
    means: Means = field(default_factory=Means)
    trainer: Trainer = do_job
    reference: MakeReference | None = None

    @property
    def store(self) -> Path:
        """Where finished stages and datasets lie."""
        return self.folder / ".edgewright"

    @property
    def datasets(self) -> DatasetStore:
        """The project's datasets."""
        return DatasetStore(self.store / "datasets")

    def now(self) -> str:
        """The time that evidence carries."""
        return iso(self.clock.wall_s())

    def data_name(self, workshop: Workshop) -> str:
        """The hash of the data that the data stage saw."""
        text = read_limited(workshop.output("data", DATASET_OUTPUT), limit_bytes=_LIMIT_BYTES)
        return text.decode().strip()

    def dataset(self, workshop: Workshop) -> Dataset | OwnData:
        """The data that the data stage saw: the stored recordings, or the recipe's own data again.

        Raises:
            InputError: the recipe's own data have changed since.
        """
        found: Dataset | OwnData = open_data(
            self.recipe,
            dataset=self.data_name(workshop),
            folder=self.folder,
            store=self.datasets,
        )
        return found

    def split(self, workshop: Workshop) -> Split:
        """The split that the data stage decided."""
        path = workshop.output("data", SPLIT_OUTPUT)
        content = read_limited(path, limit_bytes=_LIMIT_BYTES)
        return decode_json(content, Split, source=str(path))

    def samples(self, workshop: Workshop, *parts: str) -> Samples:
        """The samples of some parts of the split ("train", "val", "test")."""
        split = self.split(workshop)
        people = tuple(who for part in parts for who in getattr(split, part))
        return self.recipe.cut(self.dataset(workshop), people)
