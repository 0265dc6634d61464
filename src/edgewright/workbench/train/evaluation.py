"""A module's scores on samples: in evaluation mode, in full precision, without gradients."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.workbench.data import Samples, row_shapes
from edgewright.workbench.recipes import CLASSIFICATION, Task
from edgewright.workbench.train.metrics import Metrics
from edgewright.workbench.train.scores import Scores, scorer_for

_BATCH = 512
_BATCH_BYTES = 32 << 20


def predict(module: nn.Module, samples: Samples) -> tuple[NDArray[np.float32], ...]:
    """Every output of the module for every row, in order."""
    parts = [
        [out.float().cpu().numpy() for out in outputs] for outputs in _answers(module, samples)
    ]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def evaluate(module: nn.Module, samples: Samples) -> Metrics:
    """The scores of a classifier; its last output are the logits."""
    found = evaluate_task(module, samples, CLASSIFICATION)
    assert isinstance(found, Metrics)  # noqa: S101 - what this task gives
    return found


def evaluate_task(module: nn.Module, samples: Samples, task: Task) -> Scores:
    """The scores of a module; its last output is what the task predicts."""
    scorer = scorer_for(task, samples)
    for outputs in _answers(module, samples):
        scorer.add(outputs[-1])
    return scorer.result()


def _answers(module: nn.Module, samples: Samples) -> Iterator[tuple[torch.Tensor, ...]]:
    device = next(module.parameters()).device
    was_training = module.training
    module.eval()
    step = _rows_a_batch(samples)
    try:
        with torch.inference_mode():
            for first in range(0, len(samples), step):
                rows = slice(first, first + step)
                inputs = (
                    np.require(a[rows], requirements=("C", "W")) for a in samples.inputs.values()
                )
                yield tuple(module(*(torch.from_numpy(x).to(device) for x in inputs)))
    finally:
        module.train(was_training)


def _rows_a_batch(samples: Samples) -> int:
    values = sum(int(np.prod(shape, dtype=np.int64)) for shape in row_shapes(samples).values())
    return max(min(_BATCH, _BATCH_BYTES // max(4 * values, 1)), 1)
