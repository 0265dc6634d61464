"""What is written of a run: enough to read it, compare it, and make it again."""

from typing import Any, Literal

import msgspec

from edgewright.workbench.data import Split
from edgewright.workbench.recipes import ModelFacts
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.scores import Scores

SCHEMA_VERSION = 2

Ending = Literal["all epochs", "no better epoch", "good enough"]


class RunOrigin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run comes from: the dataset's hash, the split, the command that started it."""

    dataset: str = ""
    split: Split | None = None
    command: str = ""


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch: loss on training rows, loss and scores on the rows that are watched."""

    epoch: int
    lr: float
    train_loss: float
    val_loss: float
    val: dict[str, float]


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
    train_rows: int
    train_groups: tuple[str, ...]
    epochs: tuple[EpochRecord, ...]
    kept_epoch: int
    ending: Ending
    seconds: float
    val: Scores


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stands. `epoch_done` is set once an epoch, and with it `pairs`: some watched
    rows' true and predicted values, where values are predicted. `eta_s` is an estimate.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    rows_per_s: float
    memory_mb: int
    eta_s: float
    epoch_done: EpochRecord | None = None
    pairs: tuple[tuple[float, float], ...] = ()


def upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    """A record of an older schema as one of today's; anything else as it is."""
    if raw.get("schema_version") != 1:
        return raw
    new = {**raw, "schema_version": SCHEMA_VERSION, "val": {"kind": "classification", **raw["val"]}}
    new["train_rows"], new["train_groups"] = new.pop("train_windows"), new.pop("train_subjects")
    new["epochs"] = [_upgraded_epoch(dict(epoch)) for epoch in raw["epochs"]]
    return new


def _upgraded_epoch(raw: dict[str, Any]) -> dict[str, Any]:
    raw["val"] = {
        "accuracy": raw.pop("val_accuracy"),
        "macro_f1": raw.pop("val_macro_f1"),
    }
    return raw
