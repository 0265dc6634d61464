"""The port: a recipe is a workload. It knows where its data comes from, what the network is, what
the loss is, how good is measured, and what the model promises; it does not know how training is
run.

The data that a recipe loads and the samples that it cuts from them are its own business: the loop
sees rows of inputs with a target and a group (`data.Samples`), and hands them back to the recipe
that made them. Modules that a recipe builds take raw units (normalisation is inside), one tensor
for each input, and return a tuple of tensors in the order of the contract's outputs; the last one
is what the metric is computed from.
"""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import msgspec
import torch
from torch import nn

from edgewright.contract import Channel, Contract
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.data import Samples, Split

_GROUP = "edgewright.recipes"


Inputs = tuple[torch.Tensor, ...]
"""One tensor for each input of the module, in order; rows first."""


class ModelFacts(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a module is built for: the shape of a row of each input, the classes if there are any;
    for windows of a sensor their length, channels and rate. `extra` is for the recipe alone.
    """

    inputs: dict[str, tuple[int, ...]] = {}
    labels: tuple[str, ...] = ()
    length: int = 0
    channels: tuple[Channel, ...] = ()
    rate_hz: float = 0.0
    extra: dict[str, Any] = {}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is predicted, which decides how good is measured.

    `classification` (target: a class number; the loss gets a probability for each class): accuracy,
    macro_f1, calibration_error. `regression` (target: values [n] or [n, k]): pearson, spearman,
    mae, rmse. `segmentation` (target: class numbers [n, height, width], negative where nobody
    knows; logits [n, classes, height, width]): miou, pixel_accuracy. `best_by` chooses the best
    epoch; `unit`, `group` and `groups` are the words for a row and for what must not stand on both
    sides of a split.
    """

    kind: Literal["classification", "regression", "segmentation"]
    best_by: str
    unit: str = "row"
    group: str = "group"
    groups: str = "groups"


CLASSIFICATION = Task(kind="classification", best_by="macro_f1")
REGRESSION = Task(kind="regression", best_by="pearson")
SEGMENTATION = Task(kind="segmentation", best_by="miou")


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stands when a loss is asked for; `generator` gives all its randomness.

    One of `parts` processes sees part `part` of every batch; `normal` gives each the noise that one
    process alone would have given these rows.
    """

    epoch: int
    epochs: int
    generator: torch.Generator
    part: int = 0
    parts: int = 1

    def normal(self, rows: int, *shape: int) -> torch.Tensor:
        """Standard normal noise for this part's rows, on the CPU."""
        whole = torch.randn((rows * self.parts, *shape), generator=self.generator)
        return whole[self.part * rows : (self.part + 1) * rows]


class OwnData(Protocol):
    """Data that are no recordings of a sensor, as a recipe's `load_data` may give them."""

    @property
    def content_hash(self) -> str:
        """What decides the data: the same hash, the same samples."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """The groups that a split deals out."""

    def check(self, split: Split) -> object:
        """A report of the data as a value that JSON can hold.

        Raises:
            InputError: the data are not fit to learn from, or the split leaks.
        """


class Recipe(Protocol):
    """A workload with its options bound. A recipe class can be called without arguments."""

    name: str

    @property
    def task(self) -> Task:
        """What is predicted and how good is measured."""

    @property
    def options(self) -> msgspec.Struct:
        """The options, as they are written into run records."""

    @property
    def training(self) -> Mapping[str, Any]:
        """Training options that this recipe wants unless the user says otherwise."""

    def with_options(self, raw: Mapping[str, Any], *, source: str) -> Self:
        """The same recipe with options from a parsed TOML table.

        Raises:
            InputError: an unknown key or a value of the wrong kind.
        """

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """The files whose content decides the dataset."""

    def load_data(self, folder: Path) -> Any:
        """A `data.Dataset` of recordings, or `OwnData`; relative paths start at `folder`."""

    def split(self, data: Any) -> Split:
        """Who trains, who is watched while training, who is tested."""

    def cut(self, data: Any, subjects: tuple[str, ...]) -> Samples:
        """The samples of some groups."""

    def facts(self, samples: Any) -> ModelFacts:
        """What the module is built for."""

    def contract(self, facts: ModelFacts) -> Contract:
        """What the model promises to whoever serves it."""

    def build(self, facts: ModelFacts) -> nn.Module:
        """The network, untrained."""

    def fit(self, module: nn.Module, train: Any) -> None:
        """Numbers that come from the training samples before training (normalisation)."""

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        """A batch of training rows, changed as nature changes them."""

    def loss(
        self, module: nn.Module, inputs: Inputs, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        """The mean loss of a batch; what `target` holds is the task's."""


def recipe_names() -> tuple[str, ...]:
    """Every installed recipe, without loading any."""
    return tuple(sorted(entry.name for entry in importlib.metadata.entry_points(group=_GROUP)))


def find_recipe(name: str) -> Recipe:
    """An installed recipe by name, with its default options.

    Raises:
        InputError: no package brings a recipe of this name.
    """
    for entry in importlib.metadata.entry_points(group=_GROUP):
        if entry.name == name:
            recipe: Recipe = entry.load()()
            return recipe
    raise InputError(
        f"recipe {name!r} is not installed", hint=suggestion(name, list(recipe_names()))
    )
