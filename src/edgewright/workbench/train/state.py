"""Everything that changes while training: weights, their mean, the optimizer, what was kept."""

import copy
import math
from typing import Any

import torch
from torch import nn

from edgewright.workbench.data import Samples
from edgewright.workbench.recipes import Moment, Recipe
from edgewright.workbench.train.averaging import Averaged
from edgewright.workbench.train.batches import Batch
from edgewright.workbench.train.checkpoint import Checkpoint
from edgewright.workbench.train.engine import Engine, compile_module
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.record import EpochRecord
from edgewright.workbench.train.scores import better, check_metric
from edgewright.workbench.train.team import Objective, Team, in_team

State = dict[str, Any]


class TrainingState:
    """One run in memory."""

    def __init__(
        self, recipe: Recipe, train: Samples, options: TrainOptions, team: Team | None = None
    ) -> None:
        torch.manual_seed(options.seed)
        self.engine = Engine(options)
        self.facts = recipe.facts(train)
        module = recipe.build(self.facts)
        recipe.fit(module, train)
        module = module.to(self.engine.device)
        self.module: nn.Module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave it out
        self._twin: nn.Module = copy.deepcopy(self.module)
        self._averaged = Averaged(self.module, decay=options.averaging)
        self._optimizer = _optimizer(self.module, options)
        self._objective = in_team(Objective(recipe, self.module), team or Team())
        if options.compile:
            compile_module(self.module, self.engine.device)
        self._options = options
        self._best_by = check_metric(options.best_by, recipe.task)
        self.epochs: list[EpochRecord] = []
        self.kept: State = {}
        self.kept_epoch = 0
        self.seconds = 0.0

    def step(self, batch: Batch, moment: Moment, *, step: int, lr: float) -> torch.Tensor:
        """One update of the weights; returns the loss, still on the device."""
        scaler = self.engine.scaler
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.zero_grad(set_to_none=True)
        with self.engine.autocast():
            loss: torch.Tensor = self._objective(batch.inputs, batch.target, moment)
        torch.autograd.backward(scaler.scale(loss))
        scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.module.parameters(), self._options.grad_clip)
        scaler.step(self._optimizer)
        scaler.update()
        self._averaged.update(self.module, step=step)
        return loss.detach()

    def try_step(self, batch: Batch, moment: Moment) -> None:
        """A step for its need of memory; nothing is changed by it."""
        before = copy.deepcopy(self.module.state_dict())
        try:
            with self.engine.autocast():
                loss = self._objective(batch.inputs, batch.target, moment)
            torch.autograd.backward(loss)
        finally:
            self._optimizer.zero_grad(set_to_none=True)
            self.module.load_state_dict(before)

    def adopt(self, options: TrainOptions) -> None:
        """Take the options with what was chosen for the device."""
        self._options = options

    def averaged_module(self) -> nn.Module:
        """The module with the mean weights, which is what is evaluated and kept."""
        self._twin.load_state_dict(self._averaged.state)
        self._twin.eval()
        return self._twin

    def kept_module(self, recipe: Recipe) -> nn.Module:
        """A new module with the kept weights: the one that whoever loads the run will have."""
        module = recipe.build(self.facts)
        module.load_state_dict(self.kept)
        return module.eval()

    def note(self, record: EpochRecord) -> None:
        """Take in a finished epoch, and keep its weights when they are the ones to keep."""
        best = max((self._goodness(each) for each in self.epochs), default=-math.inf)
        self.epochs.append(record)
        if self._options.keep == "last" or self._goodness(record) > best:
            state = self._averaged.state
            self.kept = {name: value.detach().clone() for name, value in state.items()}
            self.kept_epoch = record.epoch

    @property
    def epochs_without_better(self) -> int:
        """Epochs since the best one on the rows that are watched."""
        scores = [self._goodness(each) for each in self.epochs]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def has_reached(self, value: float | None) -> bool:
        """Whether the last epoch is as good as a value of the metric that decides."""
        if value is None or not self.epochs:
            return False
        return self._goodness(self.epochs[-1]) >= better(self._best_by, value)

    def _goodness(self, record: EpochRecord) -> float:
        value = record.val_loss if self._best_by == "loss" else record.val.get(self._best_by)
        return -math.inf if value is None else better(self._best_by, value)

    def checkpoint(self, identity: str) -> Checkpoint:
        """Everything the next epoch depends on."""
        return Checkpoint(
            identity=identity,
            epochs=tuple(self.epochs),
            module=self.module.state_dict(),
            averaged=self._averaged.state,
            kept=self.kept,
            kept_epoch=self.kept_epoch,
            optimizer=self._optimizer.state_dict(),
            scaler=self.engine.scaler.state_dict(),
            seconds=self.seconds,
            batch_size=self._options.batch_size,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Stand where the checkpoint was written."""
        self.module.load_state_dict(checkpoint.module)
        self._averaged.load(checkpoint.averaged)
        self._optimizer.load_state_dict(checkpoint.optimizer)
        if checkpoint.scaler:
            self.engine.scaler.load_state_dict(checkpoint.scaler)
        device = self.engine.device
        self.kept = {name: value.to(device) for name, value in checkpoint.kept.items()}
        self.kept_epoch = checkpoint.kept_epoch
        self.epochs = list(checkpoint.epochs)
        self.seconds = checkpoint.seconds


def _optimizer(module: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """Weight decay acts on matrices only: biases and norms have nothing to shrink for."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": options.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    match options.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=options.lr, momentum=0.9, nesterov=True)
        case "adam":
            return torch.optim.Adam(groups, lr=options.lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=options.lr)
