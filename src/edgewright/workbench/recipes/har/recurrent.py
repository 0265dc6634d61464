"""`gru` and `cnn-lstm`: networks that read a window in the order of time.

Both begin with convolutions that shorten the window, because a recurrent layer costs time for every
step; `gru` reads it in both directions.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional

from edgewright.workbench.recipes.har.normalisation import Normalisation

_STRIDE = 2
_KERNEL = 5


class GruNetwork(nn.Module):
    """Windows [batch, length, channels] in raw units to `latent` and `logits`."""

    def __init__(
        self, *, channels: int, classes: int, width: int, latent: int, dropout: float, masks: bool
    ) -> None:
        super().__init__()
        self.normalisation = Normalisation(channels, masks=masks)
        self.shorten = nn.Conv1d(channels, width, _KERNEL, stride=_STRIDE, padding=_KERNEL // 2)
        self.read = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.head = Head(4 * width, latent=latent, classes=classes, dropout=dropout)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        short = functional.relu(self.shorten(self.normalisation(x).transpose(1, 2)))
        states, _ = self.read(short.transpose(1, 2))
        latent, logits = self.head(torch.cat([states.mean(dim=1), states.amax(dim=1)], dim=1))
        return latent, logits


class CnnLstm(nn.Module):
    """Windows [batch, length, channels] in raw units to `latent` and `logits`."""

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        widths: tuple[int, ...],
        latent: int,
        dropout: float,
        masks: bool,
    ) -> None:
        super().__init__()
        self.normalisation = Normalisation(channels, masks=masks)
        sizes = (channels, *widths)
        self.shorten = nn.Sequential(*(_half(a, b) for a, b in itertools.pairwise(sizes)))
        self.read = nn.LSTM(widths[-1], widths[-1], batch_first=True)
        self.head = Head(2 * widths[-1], latent=latent, classes=classes, dropout=dropout)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        short = self.shorten(self.normalisation(x).transpose(1, 2))
        states, _ = self.read(short.transpose(1, 2))
        latent, logits = self.head(torch.cat([states.mean(dim=1), states[:, -1]], dim=1))
        return latent, logits


class Head(nn.Module):
    """What was pooled from a window to `latent` and `logits`."""

    def __init__(self, before: int, *, latent: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Linear(before, latent)
        self.classify = nn.Linear(latent, classes)

    def forward(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latent = self.embed(self.dropout(pooled))
        return latent, self.classify(functional.relu(latent))


def _half(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(before, after, _KERNEL, padding=_KERNEL // 2, bias=False),
        nn.BatchNorm1d(after),
        nn.ReLU(),
        nn.MaxPool1d(2),
    )
