"""Finer statistics of a window, for `har-branches`: what tells sitting from standing.

Both hardly move, so what differs is small: in which direction the body sways at each pace, how
even or sudden that is, and where gravity points. On folds over the official training people of
`hapt` each of the three parts helped, and together they took a sixth of the confusions away
(docs/training.md).
"""

import itertools

import torch
from torch import nn

from edgewright.workbench.recipes.har.fusion import waves

_EDGES = (0, 2, 5, 10, 17, 25, 49)
"""Bands, in periods a window of 2 s less one: the last holds what is fast."""
_FLOOR = 1e-5


class FinerStatistics(nn.Module):
    """Windows [batch, length, channels], normalised and raw, to what `Statistics` leaves out.

    `gravity` are the channels of the accelerometer, or none.
    """

    waves: torch.Tensor
    pairs: torch.Tensor
    squares: torch.Tensor

    def __init__(self, *, length: int, channels: int, gravity: tuple[int, ...]) -> None:
        super().__init__()
        self._bins = min(_EDGES[-1], length // 2 - 1)
        self._bands = [
            (low, min(high, self._bins))
            for low, high in itertools.pairwise(_EDGES)
            if low < self._bins
        ]
        self._gravity = list(gravity)
        rows, columns = torch.triu_indices(channels, channels, offset=1)
        self.register_buffer("pairs", rows * channels + columns, persistent=False)
        rows, columns = torch.triu_indices(len(gravity), len(gravity))
        self.register_buffer("squares", rows * len(gravity) + columns, persistent=False)
        self.register_buffer("waves", waves(length, self._bins), persistent=False)
        directions = len(gravity) + len(self.squares)
        self.size = len(self._bands) * len(self.pairs) + 5 * channels + directions

    def forward(self, normal: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        moving = normal - normal.mean(dim=1, keepdim=True)
        parts = [*self._together(moving), *_shapes(moving)]
        if self._gravity:
            parts += self._direction(raw)
        return torch.cat(parts, dim=1)

    def _together(self, moving: torch.Tensor) -> list[torch.Tensor]:
        """How channels move together, for each band: correlations of what a filter would leave."""
        seen = moving.transpose(1, 2) @ self.waves
        parts = []
        for low, high in self._bands:
            cosines, sines = seen[:, :, low:high], seen[:, :, self._bins + low : self._bins + high]
            both = cosines @ cosines.transpose(1, 2) + sines @ sines.transpose(1, 2)
            spread = (both.diagonal(dim1=1, dim2=2) + _FLOOR).sqrt()
            scale = spread.unsqueeze(1) * spread.unsqueeze(2) + 10 * _FLOOR
            parts.append((both / scale).flatten(1)[:, self.pairs])
        return parts

    def _direction(self, raw: torch.Tensor) -> list[torch.Tensor]:
        """Where gravity points, as a vector of length 1, and the products of its parts."""
        mean = raw[:, :, self._gravity].mean(dim=1)
        unit = mean / (mean.square().sum(dim=1, keepdim=True) + _FLOOR / 10).sqrt()
        products = unit.unsqueeze(1) * unit.unsqueeze(2)
        return [unit, products.flatten(1)[:, self.squares]]


def _shapes(moving: torch.Tensor) -> list[torch.Tensor]:
    """How even a motion is, how quick its steps and turns, how lopsided, how sudden."""
    spread = (moving.square().mean(dim=1) + _FLOOR / 100).sqrt()
    steps = moving[:, 1:] - moving[:, :-1]
    turns = steps[:, 1:] - steps[:, :-1]
    unit = moving / (spread.unsqueeze(1) + 1e-3)
    squared = unit * unit
    return [
        moving.abs().mean(dim=1) / spread,
        (steps.abs().mean(dim=1) + _FLOOR).log(),
        (turns.square().mean(dim=1) + _FLOOR / 100).log(),
        torch.asinh((squared * unit).mean(dim=1)),
        ((squared * squared).mean(dim=1) + 0.1).log(),
    ]
