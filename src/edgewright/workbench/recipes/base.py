"""The port: a recipe is a workload. It knows where its data comes from, what the network is, what
the loss is, and what the model promises; it does not know how training is run.

Modules that a recipe builds take raw units (normalisation is inside) and return a tuple of tensors
in the order of the contract's outputs; the last one is what the metric is computed from.
"""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec
import torch
from torch import nn

from edgewright.contract import Channel, Contract
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, Split, WindowSet

_GROUP = "edgewright.recipes"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a module is built for: the shape and meaning of a window, and the classes."""

    length: int
    channels: tuple[Channel, ...]
    labels: tuple[str, ...]
    rate_hz: float


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stands when a loss is asked for; `generator` gives all its randomness."""

    epoch: int
    epochs: int
    generator: torch.Generator


class Recipe(Protocol):
    """A workload with its options bound. A recipe class can be called without arguments."""

    name: str

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

    def load_data(self, folder: Path) -> Dataset:
        """The dataset; relative paths start at `folder`."""

    def split(self, dataset: Dataset) -> Split:
        """Who trains, who is watched while training, who is tested."""

    def cut(self, dataset: Dataset, subjects: tuple[str, ...]) -> WindowSet:
        """The windows of some people."""

    def facts(self, windows: WindowSet) -> ModelFacts:
        """What the module is built for."""

    def contract(self, facts: ModelFacts) -> Contract:
        """What the model promises to whoever serves it."""

    def build(self, facts: ModelFacts) -> nn.Module:
        """The network, untrained."""

    def fit(self, module: nn.Module, train: WindowSet) -> None:
        """Numbers that come from the training windows before training (normalisation)."""

    def augment(
        self, x: torch.Tensor, facts: ModelFacts, generator: torch.Generator
    ) -> torch.Tensor:
        """A batch of training windows, changed as nature changes them."""

    def loss(
        self, module: nn.Module, x: torch.Tensor, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        """The mean loss of a batch; `target` holds a probability for each class."""


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
