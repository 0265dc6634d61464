"""A module's scores on windows: in evaluation mode, in full precision, without gradients."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.workbench.data import WindowSet
from edgewright.workbench.train.metrics import Metrics, score

_BATCH = 512


def predict(module: nn.Module, windows: WindowSet) -> tuple[NDArray[np.float32], ...]:
    """Every output of the module for every window, in order."""
    device = next(module.parameters()).device
    was_training = module.training
    module.eval()
    parts = []
    with torch.inference_mode():
        for first in range(0, len(windows), _BATCH):
            x = torch.from_numpy(windows.x[first : first + _BATCH]).to(device)
            parts.append([out.float().cpu().numpy() for out in module(x)])
    module.train(was_training)
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def evaluate(module: nn.Module, windows: WindowSet) -> Metrics:
    """The scores of a classifier; the module's last output are the logits."""
    return score(
        predict(module, windows)[-1],
        windows.y,
        subject=windows.subject,
        labels=windows.label_names,
        warning=windows.warning,
    )
