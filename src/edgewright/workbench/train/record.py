"""What is written of a run: enough to read it, compare it, and make it again."""

from typing import Any, Literal

import msgspec

from edgewright.workbench.data import Split
from edgewright.workbench.recipes import ModelFacts
from edgewright.workbench.train.metrics import Metrics
from edgewright.workbench.train.options import TrainOptions

SCHEMA_VERSION = 1

Ending = Literal["all epochs", "no better epoch"]


class RunOrigin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run comes from: the dataset's hash, the split, the command that started it."""

    dataset: str = ""
    split: Split | None = None
    command: str = ""


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch: loss on training windows, scores on the validation people."""

    epoch: int
    lr: float
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_macro_f1: float


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finished run. `weights` is the sha256 of the kept weights, which names the run."""

    schema_version: int
    weights: str
    recipe: str
    recipe_options: dict[str, Any]
    facts: ModelFacts
    options: TrainOptions
    origin: RunOrigin
    versions: dict[str, str]
    device: str
    precision: str
    parameters: int
    train_windows: int
    train_subjects: tuple[str, ...]
    epochs: tuple[EpochRecord, ...]
    kept_epoch: int
    ending: Ending
    seconds: float
    val: Metrics


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stands. `epoch_done` is set once an epoch; `eta_s` is an estimate."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    windows_per_s: float
    eta_s: float
    epoch_done: EpochRecord | None = None
