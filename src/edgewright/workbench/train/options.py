"""What can be chosen about training. Every key may stand in `[train]` of a project."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.recipes import Recipe

_UNMIXED = {"label_smoothing": 0.0, "mixup": 0.0}
_BY_TASK: dict[str, dict[str, float]] = {
    "classification": {},
    "regression": _UNMIXED,
    "segmentation": _UNMIXED,
}


class TrainOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One training run.

    `averaging` keeps an exponential mean of the weights over about `1 / (1 - decay)` steps, which
    is what is evaluated and kept. `keep` says whether the best epoch by `best_by` (a metric of the
    task; "" is the task's own) on the rows that are watched is kept, or the last one. `patience`
    counts epochs without a better one; 0 never stops early. `stop_at` ends training once that
    metric is as good (a correlation of 0.95). `label_smoothing` is for classes, `mixup` for classes
    and values. A `batch_size` of 0 is chosen by the memory of a CUDA device (64
    on a CPU). A checkpoint is written every `checkpoint_epochs`, and the last `keep_checkpoints` of
    them stay. `memory_limit_mb` stops before a machine runs out (0: no limit); `compile` uses
    torch.compile for the module's forward pass. With `seeds` the same training is done again with
    the seeds that follow, for the spread in the report; the first one's model is kept. `groups`
    names people by attribute for the report: `groups.hand.left = ["3", "8"]`.
    """

    epochs: int = 30
    batch_size: int = 64
    lr: float = 3e-3
    weight_decay: float = 1e-2
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["one-cycle", "cosine", "restarts", "step", "constant"] = "one-cycle"
    warmup_share: float = 0.25
    restart_epochs: int = 10
    grad_clip: float = 1.0
    label_smoothing: float = 0.05
    mixup: float = 0.2
    averaging: float = 0.99
    checkpoint_epochs: int = 1
    keep_checkpoints: int = 1
    keep: Literal["best", "last"] = "last"
    best_by: str = ""
    patience: int = 0
    stop_at: float | None = None
    seed: int = 0
    threads: int = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    memory_limit_mb: int = 0
    seeds: int = 1
    groups: dict[str, dict[str, tuple[str, ...]]] = {}

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "seeds",
            "lr",
            "grad_clip",
            "threads",
            "restart_epochs",
            "checkpoint_epochs",
            "keep_checkpoints",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name):g}, expected above 0")
        for name in ("warmup_share", "label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name):g}, expected 0 to below 1")
        for name in ("weight_decay", "mixup", "patience", "seed", "batch_size", "memory_limit_mb"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name):g}, expected 0 or more")


def train_options(recipe: Recipe, raw: Mapping[str, Any], *, source: str) -> TrainOptions:
    """The options of a run: ours, changed by the recipe's, changed by the user's.

    Raises:
        InputError: an unknown key or a value of the wrong kind.
    """
    kind = recipe.task.kind
    options = convert({**_BY_TASK[kind], **recipe.training, **raw}, TrainOptions, source=source)
    for name in _BY_TASK[kind]:
        if getattr(options, name) and not (name == "mixup" and kind == "regression"):
            raise InputError(
                f"{source}: {name} is {getattr(options, name):g}, but {kind} cannot use it",
                hint=f"set {name} = 0",
            )
    return options
