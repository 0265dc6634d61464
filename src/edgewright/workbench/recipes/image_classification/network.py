"""A small residual network for small pictures."""

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions beside a shortcut; the first one halves the size where it should."""

    def __init__(self, inside: int, outside: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        # Averaged, then mixed: a strided 1x1 convolution of 3 channels corrupts memory backwards
        # in torch 2.13 on CPUs when its input lies channels-last.
        self.shortcut = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inside, outside, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class SmallNet(nn.Module):
    """Pictures [rows, height, width, 3] of 0 to 255 to logits; scaling is inside."""

    def __init__(self, *, classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        blocks, inside = [], 3
        for width in widths:
            blocks.append(Block(inside, width, stride=2))
            inside = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inside, classes)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        x = image.permute(0, 3, 1, 2) / 127.5 - 1
        return (self.head(self.blocks(x).mean(dim=(2, 3))),)
