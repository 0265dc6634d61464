"""The short way to a recipe: say how rows are read and what the network is; the rest follows.

Rows are dealt out by group (the person, picture or machine that a row is of), the contract follows
from the inputs' shapes and the classes, the loss from the task. Override what should differ.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgewright.contract import Argmax, Contract, Labels, Mask, Softmax, Tensor
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.data import SampleSet, Split, row_shapes
from edgewright.workbench.recipes.base import Inputs, ModelFacts, Moment, Task

Chosen = TypeVar("Chosen", bound=msgspec.Struct)

MIN_GROUPS = 3
"""One to train on, one to test on, one to watch meanwhile."""


def files_of(path: Path) -> tuple[Path, ...]:
    """A file, or every file below a folder."""
    if not path.is_dir():
        return (path,)
    return tuple(sorted(file for file in path.rglob("*") if file.is_file()))


def one_group_for_copies(names: Sequence[str], contents: Sequence[bytes]) -> tuple[str, ...]:
    """Names of groups, where what holds the same as an earlier one belongs to that one's group: a
    copy under another name must not be tested by a model that was trained on it.

    >>> one_group_for_copies(["a", "b", "c"], [b"1", b"2", b"1"])
    ('a', 'b', 'a')
    """
    first: dict[bytes, str] = {}
    return tuple(
        first.setdefault(hashlib.sha256(content).digest(), name)
        for name, content in zip(names, contents, strict=True)
    )


class SampleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the data stage writes about plain samples."""

    rows: int
    groups: int
    labels: dict[str, int]
    inputs: dict[str, tuple[int, ...]]
    train_groups: int
    val_groups: int
    test_groups: int
    origin: str
    schema_version: int = 1


class SampleData:
    """Samples as a recipe's own data."""

    def __init__(self, samples: SampleSet) -> None:
        self.samples = samples

    @property
    def content_hash(self) -> str:
        """Of all rows."""
        return self.samples.content_hash()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The groups, sorted."""
        return tuple(str(name) for name in np.unique(self.samples.group))

    def check(self, split: Split) -> SampleReport:
        """What there is; refused when a class is never trained on.

        Raises:
            InputError: the training groups lack a class.
        """
        samples = self.samples
        counts = {}
        if samples.labels and samples.target.ndim == 1:
            numbers = np.bincount(samples.target, minlength=len(samples.labels))
            counts = dict(zip(samples.labels, numbers.tolist(), strict=True))
            trained = samples.target[np.isin(samples.group, split.train)]
            present = set(np.unique(trained).tolist())
            lacking = [name for at, name in enumerate(samples.labels) if at not in present]
            if lacking:
                raise InputError(
                    f"no training row shows {lacking}", hint="add data, or choose another seed"
                )
        return SampleReport(
            rows=len(samples),
            groups=len(self.subjects),
            labels=counts,
            inputs=row_shapes(samples),
            train_groups=len(split.train),
            val_groups=len(split.val),
            test_groups=len(split.test),
            origin=samples.origin,
        )


class SampledRecipe(Generic[Chosen]):
    """A recipe over rows. A subclass sets `name`, `task`, `Options` and writes `read` and `build`;
    options with a field `source` name the file or folder that is read.
    """

    name: str
    task: Task
    Options: ClassVar[type[msgspec.Struct]]
    test_share: float = 0.2
    val_share: float = 0.1

    def __init__(self, options: Chosen | None = None) -> None:
        chosen: Any = options if options is not None else self.Options()
        self.options: Chosen = chosen

    def read(self, folder: Path) -> SampleSet:
        """All rows; relative paths start at `folder`."""
        raise NotImplementedError

    def build(self, facts: ModelFacts) -> nn.Module:
        """The network: one argument for each input, a tuple of outputs."""
        raise NotImplementedError

    @property
    def training(self) -> Mapping[str, Any]:
        return {}

    def with_options(self, raw: Mapping[str, Any], *, source: str) -> Self:
        chosen: Any = convert(dict(raw), self.Options, source=source)
        return type(self)(chosen)

    def source(self, folder: Path) -> Path:
        """Where the data lie.

        Raises:
            InputError: the project does not say.
        """
        named = getattr(self.options, "source", "")
        if not named:
            raise InputError(
                f"recipe {self.name}: [recipe] names no source",
                hint='add source = "PATH" to edgewright.toml, or give --data to init',
            )
        path = folder / named
        if not path.exists():
            raise InputError(f"{path}: no such file or folder", hint="check [recipe] source")
        return path

    def sources(self, folder: Path) -> tuple[Path, ...]:
        return files_of(self.source(folder))

    def load_data(self, folder: Path) -> SampleData:
        return SampleData(self.read(folder))

    def split(self, data: SampleData) -> Split:
        names = np.array(data.subjects)
        if len(names) < MIN_GROUPS:
            raise InputError(
                f"{len(names)} groups of rows, expected {MIN_GROUPS} or more",
                hint="rows of one group never stand on two sides of the split",
            )
        seed = int(getattr(self.options, "seed", 0))
        shuffled = names[np.random.default_rng(seed).permutation(len(names))]
        test = max(1, round(len(names) * self.test_share))
        val = max(1, round(len(names) * self.val_share))
        return Split(
            name=f"by {self.task.group}, {test} of {len(names)} tested, seed {seed}",
            test=tuple(sorted(shuffled[:test].tolist())),
            val=tuple(sorted(shuffled[test : test + val].tolist())),
            train=tuple(sorted(shuffled[test + val :].tolist())),
        )

    def cut(self, data: SampleData, subjects: tuple[str, ...]) -> SampleSet:
        return data.samples.take(np.isin(data.samples.group, subjects))

    def facts(self, samples: SampleSet) -> ModelFacts:
        return ModelFacts(inputs=row_shapes(samples), labels=samples.labels)

    def fit(self, module: nn.Module, train: SampleSet) -> None:
        return None

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        return inputs

    def loss(
        self, module: nn.Module, inputs: Inputs, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        answer = module(*inputs)[-1]
        if self.task.kind == "regression":
            return functional.smooth_l1_loss(answer, target, beta=0.05)
        if self.task.kind == "segmentation":
            return functional.cross_entropy(answer, target.long(), ignore_index=-1)
        return functional.cross_entropy(answer, target)

    def contract(self, facts: ModelFacts) -> Contract:
        return Contract(
            inputs=tuple(self.input_tensor(name, shape) for name, shape in facts.inputs.items()),
            labels=facts.labels,
            metric=self.task.best_by,
            **_outputs(self.task, facts),
        )

    def input_tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """An input as clients see it; override to say its range."""
        return Tensor(name=name, dtype="float32", shape=("batch", *shape))


def _outputs(task: Task, facts: ModelFacts) -> dict[str, Any]:
    if task.kind == "regression":
        return {"outputs": (Tensor(name="value", dtype="float32", shape=("batch",)),)}
    classes = len(facts.labels)
    if task.kind == "segmentation":
        height, width = next(iter(facts.inputs.values()))[:2]
        logits = Tensor(name="logits", dtype="float32", shape=("batch", classes, height, width))
        mask = Tensor(name="mask", dtype="uint8", shape=("batch", height, width))
        return {"outputs": (logits, mask), "postprocess": (Mask(tensor="logits", into="mask"),)}
    logits = Tensor(name="logits", dtype="float32", shape=("batch", classes))
    sure = Tensor(
        name="probabilities", dtype="float32", shape=("batch", classes), low=0.0, high=1.0
    )
    label = Tensor(name="label", dtype="string", shape=("batch",))
    return {
        "outputs": (logits, sure, label),
        "postprocess": (
            Softmax(tensor="logits", into="probabilities"),
            Argmax(tensor="logits", into="label"),
            Labels(tensor="label"),
        ),
    }
