"""The networks: features of a picture and the tracer's settings to a predicted SSIM.

All of them scale what they get inside, with numbers fitted on the training rows.
"""

import torch
from torch import nn

from edgewright.workbench.recipes.svg.settings import CLASSIC, MODES, PARAMETERS

WIDE_FEATURES = 2048
WIDE_PARAMETERS = 2_766_337
_NAMES = [parameter.name for parameter in PARAMETERS]
_EPSILON = 1e-6


class Scaled(nn.Module):
    """(x - mean) / std of the training rows; a column that never changes becomes 0."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, rows: torch.Tensor) -> None:
        """Take the numbers from rows."""
        self.mean.copy_(rows.mean(dim=0))
        std = rows.std(dim=0)
        self.std.copy_(torch.where(std < _EPSILON, torch.ones_like(std), std))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


class Quality(nn.Module):
    """What all have in common: both inputs scaled, one number between 0 and 1 out."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scaled_features = Scaled(features)
        self.scaled_settings = Scaled(len(PARAMETERS))

    def fit(self, features: torch.Tensor, settings: torch.Tensor) -> None:
        """Fit the scaling."""
        self.scaled_features.fit(features)
        self.scaled_settings.fit(settings)


class Ranker(Quality):
    """A small network for few, telling features."""

    def __init__(self, features: int, *, width: int = 256) -> None:
        super().__init__(features)
        inside = features + len(PARAMETERS) + len(MODES)
        self.body = nn.Sequential(
            nn.Linear(inside, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(0.05),
            nn.Linear(width, 64),
            nn.SiLU(),
            nn.Linear(64, 1),
        )

    def forward(self, features: torch.Tensor, settings: torch.Tensor) -> tuple[torch.Tensor]:
        mode = settings[:, :1]
        modes = [(1 - (mode - number).abs()).clamp(min=0) for number in range(len(MODES))]
        x = torch.cat([self.scaled_features(features), self.scaled_settings(settings), *modes], 1)
        return (torch.sigmoid(self.body(x)).squeeze(1),)


def _layers(inside: int) -> nn.Sequential:
    """1024, 512, 256 with BatchNorm, ReLU and dropout .3, .2, .1, then one number."""
    parts: list[nn.Module] = []
    for width, share in ((1024, 0.3), (512, 0.2), (256, 0.1)):
        parts += [nn.Linear(inside, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(share)]
        inside = width
    return nn.Sequential(*parts, nn.Linear(inside, 1))


class Wide(Quality):
    """2048 features and the eight classic parameters. Fewer features are padded with zeros at the
    end (columns from `features` on); `filter_speckle` is not among the eight.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.padding = WIDE_FEATURES - features
        self.columns = [_NAMES.index(name) for name in CLASSIC]
        self.body = _layers(WIDE_FEATURES + len(CLASSIC))

    def forward(self, features: torch.Tensor, settings: torch.Tensor) -> tuple[torch.Tensor]:
        x = nn.functional.pad(self.scaled_features(features), (0, self.padding))
        chosen = self.scaled_settings(settings)[:, self.columns]
        return (torch.sigmoid(self.body(torch.cat([x, chosen], dim=1))).squeeze(1),)


class Head(Quality):
    """The same layers on the features as they are and all parameters."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.body = _layers(features + len(PARAMETERS))

    def forward(self, features: torch.Tensor, settings: torch.Tensor) -> tuple[torch.Tensor]:
        x = torch.cat([self.scaled_features(features), self.scaled_settings(settings)], dim=1)
        return (torch.sigmoid(self.body(x)).squeeze(1),)
