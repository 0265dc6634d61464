"""Normalisation inside the graph: a served model takes raw units, so nobody can forget it.

A sensor that a device lacks is sent as zeros: a channel that is exactly zero for a whole window, as
no real sensor is, counts as absent and stands at its mean, which says nothing.
"""

import torch
from torch import nn

from edgewright.workbench.data import WindowSet

_SMALLEST_STD = 1e-6
# Whatever is divided by it is 0: no training window said what such a channel means.
_NEVER_MEASURED = 1e30


class Normalisation(nn.Module):
    """(x - mean) / std for each channel of [batch, length, channels]; 0 where it is absent."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, channels: int, *, masks: bool) -> None:
        super().__init__()
        self._masks = masks
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, windows: WindowSet) -> None:
        """Take the numbers from windows; only training windows may be given."""
        x = torch.from_numpy(windows.x).double()
        for at in range(x.shape[2]):
            values = x[:, :, at]
            present = values[(values != 0).any(dim=1)]
            if len(present):
                self.mean[at] = present.mean()
                self.std[at] = present.std().clamp_min(_SMALLEST_STD)
            elif self._masks:
                self.std[at] = _NEVER_MEASURED

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = (x - self.mean) / self.std
        if not self._masks:
            return normal
        return normal * (x.abs().amax(dim=1, keepdim=True) > 0).to(x.dtype)
