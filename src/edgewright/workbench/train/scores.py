"""What a task's outputs are scored by, and which way is up."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from edgewright.errors import InputError
from edgewright.workbench.data import Samples
from edgewright.workbench.recipes import Task
from edgewright.workbench.train.mask_metrics import MaskMetrics, score_masks
from edgewright.workbench.train.metrics import Metrics, confusion_matrix, score
from edgewright.workbench.train.value_metrics import ValueMetrics, score_values

Scores = Metrics | ValueMetrics | MaskMetrics

METRICS = {
    "classification": ("accuracy", "macro_f1", "calibration_error", "loss"),
    "regression": ("pearson", "spearman", "within_group_spearman", "mae", "rmse", "loss"),
    "segmentation": ("miou", "pixel_accuracy", "loss"),
}
"""What `best_by` may name, by kind of task."""

_LOWER_IS_BETTER = frozenset({"calibration_error", "loss", "mae", "rmse"})


def better(metric: str, value: float) -> float:
    """The value as a figure that is larger the better it is."""
    return -value if metric in _LOWER_IS_BETTER else value


def check_metric(metric: str, task: Task) -> str:
    """The metric's name, or the task's own for "".

    Raises:
        InputError: the task has no such metric.
    """
    name = metric or task.best_by
    if name not in METRICS[task.kind]:
        raise InputError(
            f"best_by {name!r} is no metric of {task.kind}",
            hint=f"choose one of {', '.join(METRICS[task.kind])}",
        )
    return name


class Scorer(Protocol):
    """Takes in the last output of a module, part by part in the order of the rows."""

    def add(self, output: torch.Tensor) -> None: ...

    def result(self) -> Scores: ...


def scorer_for(task: Task, samples: Samples) -> Scorer:
    """The scorer of a task's outputs for these samples."""
    return MaskScorer(samples) if task.kind == "segmentation" else _WholeScorer(task, samples)


class _WholeScorer:
    """Classes and values: the outputs are small, so they are kept."""

    def __init__(self, task: Task, samples: Samples) -> None:
        self._task, self._samples = task, samples
        self._parts: list[NDArray[np.float32]] = []

    def add(self, output: torch.Tensor) -> None:
        self._parts.append(output.float().cpu().numpy())

    def result(self) -> Scores:
        return score_outputs(self._task, np.concatenate(self._parts), self._samples)


def score_outputs(task: Task, output: NDArray[Any], samples: Samples) -> Scores:
    """The scores of a module's last output for all rows at once."""
    if task.kind == "classification":
        return score(
            output,
            samples.target,
            subject=samples.group,
            labels=samples.labels,
            warning=samples.warning,
        )
    if task.kind == "regression":
        return score_values(output, samples.target, group=samples.group, warning=samples.warning)
    scorer = MaskScorer(samples)
    scorer.add(torch.from_numpy(output))
    return scorer.result()


class MaskScorer:
    """Masks: only counts are kept, for each group."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._loss, self._pixels, self._row = 0.0, 0, 0

    def add(self, output: torch.Tensor) -> None:
        """Logits [rows, classes, height, width]."""
        classes = len(self._samples.labels)
        rows = slice(self._row, self._row + len(output))
        self._row += len(output)
        target = np.asarray(self._samples.target[rows]).astype(np.int64)
        if output.shape != (target.shape[0], classes, *target.shape[1:]):
            raise InputError(
                f"logits {list(output.shape)} do not fit masks {list(target.shape)} of "
                f"{classes} classes"
            )
        y = torch.from_numpy(target).to(output.device)
        lost = functional.cross_entropy(
            output.float(), y.clamp(min=-1), ignore_index=-1, reduction="sum"
        )
        guess = output.argmax(dim=1).cpu().numpy()
        known = target >= 0
        self._loss += float(lost)
        self._pixels += int(known.sum())
        for at, name in enumerate(self._samples.group[rows].tolist()):
            here = known[at]
            counts = confusion_matrix(target[at][here], guess[at][here], classes)
            self._counts[name] = self._counts.get(name, 0) + counts

    def result(self) -> MaskMetrics:
        return score_masks(
            self._counts,
            labels=self._samples.labels,
            loss=self._loss / max(self._pixels, 1),
            rows=self._row,
            warning=self._samples.warning,
        )
