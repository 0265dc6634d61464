"""`har-branches`: small networks side by side in one graph, about 110 k parameters each.

A branch is `har-fusion` made small: convolutions at a quarter of the rate beside statistics of
the window, finer ones among them, which all branches share. Each branch has its own head and learns
from its own loss, so that they err differently; the answer is the mean of their logits, as of an
ensemble that was trained and is shipped as one model. The latent vector is their embeddings one
after another.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional

from edgewright.workbench.recipes.har.finer import FinerStatistics
from edgewright.workbench.recipes.har.fusion import HIDDEN, STEM_WIDTH, Statistics, stem, weigher
from edgewright.workbench.recipes.har.normalisation import Normalisation
from edgewright.workbench.recipes.har.quick import ResidualBlock

STRIDE = 4
_KERNEL = 7


class Branch(nn.Module):
    """Maps of a window and its statistics to one embedding and its logits."""

    def __init__(
        self,
        *,
        channels: int,
        statistics: int,
        classes: int,
        widths: tuple[int, ...],
        latent: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = stem(channels, kernel=_KERNEL, stride=STRIDE)
        sizes = (STEM_WIDTH, *widths)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in itertools.pairwise(sizes)))
        self.weigh = weigher(statistics, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Linear(2 * widths[-1] + HIDDEN, latent)
        self.classify = nn.Linear(latent, classes)

    def forward(
        self, signals: torch.Tensor, statistics: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.blocks(self.stem(signals))
        told = self.weigh(statistics)
        seen = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3)), told], dim=1)
        latent = self.embed(self.dropout(seen))
        return latent, self.classify(functional.relu(latent))


class BranchedNetwork(nn.Module):
    """Windows [batch, length, channels] in raw units to `latent` and `logits`."""

    def __init__(
        self,
        *,
        branches: int,
        length: int,
        channels: int,
        classes: int,
        widths: tuple[int, ...],
        latent: int,
        triads: tuple[tuple[int, ...], ...],
        gravity: tuple[int, ...],
        masks: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.normalisation = Normalisation(channels, masks=masks)
        self.statistics = Statistics(length=length, channels=channels, triads=triads)
        self.finer = FinerStatistics(length=length, channels=channels, gravity=gravity)
        self.branches = nn.ModuleList(
            Branch(
                channels=channels,
                statistics=self.statistics.size + self.finer.size,
                classes=classes,
                widths=widths,
                latent=latent // branches,
                dropout=dropout,
            )
            for _ in range(branches)
        )

    def each(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Embedding and logits of every branch."""
        normal = self.normalisation(x)
        signals = normal.transpose(1, 2).unsqueeze(2)
        statistics = torch.cat([self.statistics(normal), self.finer(normal, x)], dim=1)
        return [branch(signals, statistics) for branch in self.branches]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latents, logits = zip(*self.each(x), strict=True)
        return torch.cat(latents, dim=1), torch.stack(logits).mean(dim=0)
