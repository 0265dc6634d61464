"""`har-fusion`: convolutions beside statistics, about 215 k parameters.

Convolutions learn shapes of movement. What they learn badly from few people is written down:
the direction of gravity, how channels move together, and the spectrum of the smallest motions, in
logarithms, which tells sitting from standing. A window's statistics are matrix products, so the
whole network stays one graph of common operators.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from edgewright.workbench.recipes.har.normalisation import Normalisation
from edgewright.workbench.recipes.har.quick import ResidualBlock

_STEM_KERNEL = 5
STEM_WIDTH = 32
_BINS = 25
HIDDEN = 64
"""How many numbers the statistics become."""
_FLOOR = 1e-5
"""Power that is as good as none, of a channel whose own variance is 1."""
_LOUDNESS = 3.0
"""Extremes grow as a line below about a third of a channel's deviation, as a logarithm above."""


class Statistics(nn.Module):
    """Normalised windows [batch, length, channels] to their means, spreads, correlations, extremes
    and spectra. `triads` are the channels of each sensor with three axes.
    """

    pairs: torch.Tensor
    waves: torch.Tensor

    def __init__(self, *, length: int, channels: int, triads: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self._triads = triads
        self._bins = min(_BINS, length // 2)
        rows, columns = torch.triu_indices(channels, channels)
        self.register_buffer("pairs", rows * channels + columns, persistent=False)
        self.register_buffer("waves", waves(length, self._bins), persistent=False)
        signals = channels + len(triads)
        self.size = channels + len(rows) + len(triads) + signals * (4 + self._bins)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=1)
        moving = x - mean.unsqueeze(1)
        parts = [mean, self._together(moving)]
        if self._triads:
            sizes = torch.stack([_size(moving[:, :, list(axes)]) for axes in self._triads], dim=2)
            centred = sizes - sizes.mean(dim=1, keepdim=True)
            parts.append((centred.square().mean(dim=1).sqrt() + 10 * _FLOOR).log())
            moving = torch.cat([moving, centred], dim=2)
        half = moving.shape[1] // 2
        trend = moving[:, :half].mean(dim=1) - moving[:, -half:].mean(dim=1)
        steps = moving[:, 1:] - moving[:, :-1]
        parts += [
            _compressed(moving.amax(dim=1)),
            _compressed(moving.amin(dim=1)),
            _compressed(trend.abs()),
            (steps.square().mean(dim=1) + _FLOOR / 100).log(),
            self._spectrum(moving),
        ]
        return torch.cat(parts, dim=1)

    def _together(self, moving: torch.Tensor) -> torch.Tensor:
        """Correlations; on the diagonal, where they would be 1, the logarithm of the spread."""
        covariance = moving.transpose(1, 2) @ moving / moving.shape[1]
        spread = (covariance.diagonal(dim1=1, dim2=2) + _FLOOR / 10).sqrt()
        scale = spread.unsqueeze(1) * spread.unsqueeze(2) + 1e-3
        eye = torch.eye(moving.shape[2], device=moving.device)
        both = covariance / scale * (1 - eye) + spread.log().unsqueeze(1) * eye
        return both.flatten(1)[:, self.pairs]

    def _spectrum(self, moving: torch.Tensor) -> torch.Tensor:
        seen = moving.transpose(1, 2) @ self.waves
        power = seen[:, :, : self._bins].square() + seen[:, :, self._bins :].square()
        return (power + _FLOOR).log().flatten(1)


def stem(channels: int, *, kernel: int, stride: int) -> nn.Sequential:
    """The first convolution, which also makes time coarser."""
    convolution = nn.Conv2d(
        channels,
        STEM_WIDTH,
        (1, kernel),
        stride=(1, stride),
        padding=(0, kernel // 2),
        bias=False,
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(STEM_WIDTH), nn.ReLU())


def weigher(size: int, *, dropout: float) -> nn.Sequential:
    """What is learnt from `size` statistics."""
    return nn.Sequential(
        nn.BatchNorm1d(size),
        nn.Dropout(dropout),
        nn.Linear(size, HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(HIDDEN, HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
    )


class FusionNetwork(nn.Module):
    """Windows [batch, length, channels] in raw units to `latent` and `logits`."""

    def __init__(
        self,
        *,
        length: int,
        channels: int,
        classes: int,
        widths: tuple[int, ...],
        latent: int,
        triads: tuple[tuple[int, ...], ...],
        masks: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.normalisation = Normalisation(channels, masks=masks)
        self.stem = stem(channels, kernel=_STEM_KERNEL, stride=2)
        sizes = (STEM_WIDTH, *widths)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in itertools.pairwise(sizes)))
        self.statistics = Statistics(length=length, channels=channels, triads=triads)
        self.weigh = weigher(self.statistics.size, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Linear(2 * widths[-1] + HIDDEN, latent)
        self.classify = nn.Linear(latent, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        normal = self.normalisation(x)
        maps = self.blocks(self.stem(normal.transpose(1, 2).unsqueeze(2)))
        told = self.weigh(self.statistics(normal))
        seen = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3)), told], dim=1)
        latent = self.embed(self.dropout(seen))
        return latent, self.classify(functional.relu(latent))


def waves(length: int, bins: int) -> torch.Tensor:
    """Cosines and sines of 1 to `bins` periods a window, under a Hann window: [length, 2 * bins].

    A sine whose variance is 1 comes out with a power of about 50, whatever the length.
    """
    at = torch.arange(length, dtype=torch.float64) / length
    angles = 2 * math.pi * at.unsqueeze(1) * torch.arange(1, bins + 1, dtype=torch.float64)
    window = torch.hann_window(length, periodic=False, dtype=torch.float64).unsqueeze(1)
    return (torch.cat([angles.cos(), angles.sin()], dim=1) * window * (20 / length)).float()


def _size(axes: torch.Tensor) -> torch.Tensor:
    return (axes.square().sum(dim=2) + _FLOOR / 1000).sqrt()


def _compressed(x: torch.Tensor) -> torch.Tensor:
    return torch.asinh(_LOUDNESS * x)
