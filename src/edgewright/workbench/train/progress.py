"""The loss of an epoch as it goes, for the guard that stops a run and for whoever watches."""

from collections.abc import Callable

import msgspec
import torch

from edgewright.clock import Clock
from edgewright.errors import GateError
from edgewright.workbench.train.batches import Batches
from edgewright.workbench.train.memory import memory_mb
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.record import EpochRecord, Progress
from edgewright.workbench.train.scores import Scores
from edgewright.workbench.train.team import Team
from edgewright.workbench.train.value_metrics import ValueMetrics

_LOSS_LIMIT = 1e6
_LOOK_EVERY_STEPS = 10

OnProgress = Callable[[Progress], None]


class Meter:
    """The loss of an epoch as it goes: summed on the device, looked at every few steps."""

    def __init__(
        self,
        options: TrainOptions,
        batches: Batches,
        epoch: int,
        on_progress: OnProgress,
        clock: Clock,
        *,
        device: torch.device | None = None,
        team: Team | None = None,
    ) -> None:
        self._options, self._batches, self._epoch = options, batches, epoch
        self._on_progress, self._clock = on_progress, clock
        self._device, self._team = device or torch.device("cpu"), team or Team()
        self._began_s = clock.monotonic_s()
        self._total = torch.zeros(())
        self._steps = 0
        self._lr = 0.0

    @property
    def step(self) -> int:
        """The step that comes next, counted over the whole run."""
        return self._epoch * self._batches.steps + self._steps

    def note(self, loss: torch.Tensor, lr: float) -> None:
        """Take in a step's loss.

        Raises:
            GateError: it is no finite number any more.
        """
        self._total = self._total.to(loss.device) + loss.float()
        self._steps += 1
        self._lr = lr
        if self._steps % _LOOK_EVERY_STEPS == 0 or self._steps == self._batches.steps:
            mean = float(self._total) / self._steps
            if not abs(mean) < _LOSS_LIMIT:
                raise GateError(
                    f"the training loss in epoch {self._epoch + 1}, step {self._steps}",
                    measured=mean,
                    limit=_LOSS_LIMIT,
                    hint=f"lower lr (it is {lr:.2g}) or grad_clip, and check the data for "
                    "huge values; the checkpoint of the epoch before is kept",
                )
            self._check_memory()
            self._on_progress(self._progress(mean, None))

    def _check_memory(self) -> None:
        held_mb, limit_mb = memory_mb(self._device), self._options.memory_limit_mb
        if limit_mb and held_mb > limit_mb:
            raise GateError(
                f"the memory of training in epoch {self._epoch + 1}",
                measured=held_mb,
                limit=limit_mb,
                unit="MB",
                hint="lower batch_size or raise memory_limit_mb; the last checkpoint is kept",
            )

    def epoch_record(self, scores: Scores) -> EpochRecord:
        """What is kept of the epoch."""
        return EpochRecord(
            epoch=self._epoch + 1,
            lr=self._lr,
            train_loss=float(self._team.mean(self._total)) / self._steps,
            val_loss=scores.loss,
            val=scores.headline,
        )

    def tell_epoch(self, record: EpochRecord, scores: Scores) -> None:
        """Report the finished epoch."""
        told = self._progress(record.train_loss, record)
        if isinstance(scores, ValueMetrics):
            told = msgspec.structs.replace(told, pairs=scores.pairs)
        self._on_progress(told)

    def _progress(self, loss: float, epoch_done: EpochRecord | None) -> Progress:
        spent_s = max(self._clock.monotonic_s() - self._began_s, 1e-9)
        steps = self._options.epochs * self._batches.steps
        return Progress(
            epoch=self._epoch + 1,
            epochs=self._options.epochs,
            step=self.step,
            steps=steps,
            loss=loss,
            lr=self._lr,
            rows_per_s=self._steps * self._batches.rows_a_step / spent_s,
            memory_mb=memory_mb(self._device),
            eta_s=(steps - self.step) * spent_s / self._steps,
            epoch_done=epoch_done,
        )
