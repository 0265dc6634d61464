"""Normalisation inside the graph: a served model takes raw units, so nobody can forget it."""

import torch
from torch import nn

from edgewright.workbench.data import WindowSet

_SMALLEST_STD = 1e-6


class Normalisation(nn.Module):
    """(x - mean) / std for each channel of [batch, length, channels]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, windows: WindowSet) -> None:
        """Take the numbers from windows; only training windows may be given."""
        flat = torch.from_numpy(windows.x).double().flatten(0, 1)
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0).clamp_min(_SMALLEST_STD))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std
