"""The networks: features of a picture and the tracer's settings to a predicted SSIM.

All of them scale what they get inside, with numbers fitted on the training rows.
"""

import torch
from torch import nn

from edgewright.workbench.recipes.svg.settings import CLASSIC, MODES, PARAMETERS, PILOTS

PILOT_COUNT = len(PILOTS)
WIDE_FEATURES = 2048
WIDE_PARAMETERS = 2_766_337
_NAMES = [parameter.name for parameter in PARAMETERS]
_EPSILON = 1e-6
_FARTHEST = 2.5
_NOISE = 0.05
_DROPOUT = 0.1
_INSIDE = (0.01, 0.999)


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
        x = torch.cat(
            [self.scaled_features(features), self.scaled_settings(settings), _modes(settings)], 1
        )
        return (torch.sigmoid(self.body(x)).squeeze(1),)


class Anchored(Quality):
    """Starts from what the pilots gave on this very picture, and learns only what differs.

    Each member weighs the pilots by how telling they are for the settings asked about, takes that
    mean of their SSIM and moves it. A picture unlike all that were trained on moves the pilots too,
    so what was learnt holds further than a network's that must know the picture. The members'
    answers are averaged; while training, every member answers for itself: [members, rows].
    """

    def __init__(self, features: int, *, members: int = 2, width: int = 128) -> None:
        super().__init__(features)
        self.members = nn.ModuleList([_Member(features, width) for _ in range(members)])

    def forward(self, features: torch.Tensor, settings: torch.Tensor) -> tuple[torch.Tensor]:
        pilots = features[:, :PILOT_COUNT]
        picture = self.scaled_features(features).clamp(-_FARTHEST, _FARTHEST)
        if self.training:
            picture = picture + _NOISE * torch.randn_like(picture)
        asked = torch.cat([self.scaled_settings(settings), _modes(settings)], dim=1)
        answers = torch.stack([member(pilots, picture, asked) for member in self.members])
        return (answers if self.training else answers.mean(dim=0),)


class _Member(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        asked = len(PARAMETERS) + len(MODES)
        self.asked = _two_layers(asked, width, dropout=0.0)
        self.picture = _two_layers(features, width, dropout=_DROPOUT)
        self.both = _two_layers(3 * width, width, dropout=_DROPOUT)
        self.weights = nn.Linear(width, PILOT_COUNT)
        self.move = nn.Linear(width, 1)
        nn.init.zeros_(self.move.weight)

    def forward(
        self, pilots: torch.Tensor, picture: torch.Tensor, asked: torch.Tensor
    ) -> torch.Tensor:
        told, wanted = self.picture(picture), self.asked(asked)
        both = self.both(torch.cat([wanted, told, wanted * told], dim=1))
        start = (self.weights(both).softmax(dim=1) * pilots).sum(dim=1).clamp(*_INSIDE)
        return torch.sigmoid(torch.log(start) - torch.log(1 - start) + self.move(both).squeeze(1))


def _two_layers(inside: int, width: int, *, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inside, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.SiLU()
    )


def _modes(settings: torch.Tensor) -> torch.Tensor:
    """The mode's number as one column for each mode."""
    mode = settings[:, :1]
    each = [(1 - (mode - number).abs()).clamp(min=0) for number in range(len(MODES))]
    return torch.cat(each, dim=1)


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
